"""How a mail looks: one stylesheet, written into the elements; in a real browser, light and dark, wide and narrow."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from roster_pipeline.notifications.content import RowDetails
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.notice import Notice, digest_mail, notice_mail
from roster_pipeline_tests.notifications.examples import FAILED, FIRST, GOOD, HELD, NIGHT, QUIET

CONSOLE = "https://roster.example.org"
WORD = "Donaudampfschifffahrtsgesellschaft"
LONG = replace(
    HELD, school_name=f"{WORD}skapitän Elementary and Middle School of Greater Springfield", console_url=CONSOLE
)
MAILS = {
    "good": render(replace(GOOD, details=RowDetails(43, "masked", attached=True), console_url=CONSOLE)),
    "held": render(replace(HELD, console_url=CONSOLE)),
    "long": render(LONG),
    "first": render(FIRST),
    "failed": render(replace(FAILED, directory_unchanged=True, console_url=CONSOLE)),
    "digest": digest_mail([GOOD, replace(HELD, school_name="Roosevelt"), QUIET], NIGHT, "America/Chicago", CONSOLE),
    "all clear": notice_mail(
        Notice("Connection sis", "", datetime(2026, 11, 4, tzinfo=UTC), "UTC", "good", "All clear", "It works again")
    ),
}
EVERY = pytest.mark.parametrize("mail", MAILS.values(), ids=MAILS)


@EVERY
def test_every_visible_element_carries_its_style(mail: Mail) -> None:
    bare = re.findall(r"<(?:p|h1|h2|span class|a|td class)\b[^>]*>", mail.html)
    assert bare
    assert [tag for tag in bare if "style=" not in tag] == []


@EVERY
def test_what_only_a_stylesheet_can_say_stays_in_the_head(mail: Mail) -> None:
    head = mail.html.partition("</head>")[0]
    assert "@media (prefers-color-scheme: dark)" in head
    assert "@media (max-width: 480px)" in head
    assert "mail.css" not in mail.html


CONTRAST = """() => {
  const light = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const numbers = (css) => css.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("p, h1, h2, a, td, th, span")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || e.classList.contains("zero")) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.className + ": " + e.textContent.slice(0, 40)];
  }
  return worst;
}"""  # noqa: E501


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [900, 360])
def test_mails_fit_the_screen_and_can_be_read(chromium: Any, scheme: str, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for name, mail in MAILS.items():
        page.set_content(mail.html)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{name} scrolls sideways"
        ratio, where = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{name}: {where}"
    page.close()
