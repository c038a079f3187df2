"""A real Chromium for tests: it opens pages as somebody who is signed in, and checks each page.

Without Playwright or Chromium, these tests are left out, and the end of the test run says so. The browser stays open
for all tests of a module.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, ViewportSize

    from roster_pipeline_tests.console.conftest import Console

LEFT_OUT = "The browser tests were left out: "
CHROMIUM = "ROSTER_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(__file__).parent / "axe" / "axe.min.js"
PATIENCE = 60_000
"""Milliseconds, for a busy machine."""
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
SCHEMES: dict[Literal["light", "dark"], list[str] | None] = {
    "light": None,
    "dark": ["color-contrast", "link-in-text-block"],
}
"""The rules of axe for each scheme; None: all. A dark page differs in the values of colours alone."""
RUN_AXE = """
async (rules) => (await axe.run(
    document, {resultTypes: ["violations"], preload: false, ...(rules && {runOnly: rules})}
)).violations.map(
    found => [found.impact, found.id, found.nodes.slice(0, 3).map(node => node.target.join(" ")).join(", ")])
"""
CUT_OFF = """
() => [...document.querySelectorAll("button, input, select, textarea, :is(a, thead th):not(.scroll *)")]
    .filter(one => one.checkVisibility() && !one.closest(".hidden"))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.innerText || one.name || one.tagName)
"""
"""What people use or read beyond the right edge of the screen. A table of numbers may move inside its own box."""
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, or the reason why there is none."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        pytest.skip(f"{LEFT_OUT}Playwright is not installed. Install it with: pip install -e '.[browser]'")
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = os.environ.get(CHROMIUM) or next(filter(None, map(shutil.which, NAMES)), None)
        if not found and not own.exists():
            pytest.skip(f"{LEFT_OUT}there is no Chromium. Install it, or say where it is: {CHROMIUM}")
        try:
            browser = playwright.chromium.launch(executable_path=found or own, args=["--no-sandbox"])
        except Error as problem:
            pytest.skip(f"{LEFT_OUT}Chromium did not start: {problem.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, console: Console) -> Iterator[Open]:
    """`open_page(OWNER)`: a page in a new window, signed in; without an account, not signed in.

    A script error, a refused script or style, or an answer of 500 fails the test at its end.
    """
    windows: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(email: str | None = None, *, script: bool = True) -> Page:
        window = chromium.new_context(
            base_url=console.url,
            viewport=WIDE,
            reduced_motion="reduce",
            java_script_enabled=script,
            accept_downloads=True,
        )
        windows.append(window)
        window.set_default_timeout(PATIENCE)
        if email:
            with console.signed_in(email) as session:
                token = session.cookies.get(console.config.session_cookie)
            window.add_cookies([{"name": console.config.session_cookie, "value": token or "", "url": console.url}])
        page = window.new_page()
        page.on("console", lambda message: complaints.append(message.text) if _grave(message) else None)
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.on("response", lambda answer: complaints.append(f"500 {answer.url}") if answer.status >= 500 else None)
        return page

    yield open_
    for window in windows:
        window.close()
    assert complaints == []


def _grave(message: ConsoleMessage) -> bool:
    """Chromium also logs every 404, which a test may expect."""
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text


def staying(page: Page) -> list[str]:
    """Refuse to leave the page whenever it asks; returns a growing list of the kinds of its questions."""
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    return asked


def faults_of(page: Page) -> list[str]:
    """The problems of the page now: for screen readers, in light and dark, and on a phone."""
    found = []
    page.evaluate(AXE.read_text())
    for scheme, rules in SCHEMES.items():
        page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {impact} {rule} at {where}" for impact, rule, where in page.evaluate(RUN_AXE, rules)]
    page.set_viewport_size(PHONE)
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > PHONE["width"]:
        found.append(f"phone: {wide} pixels wide")
    found += [f"phone: {what} is cut off" for what in page.evaluate(CUT_OFF)]
    page.set_viewport_size(WIDE)
    return found
