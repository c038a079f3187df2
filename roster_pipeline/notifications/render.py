"""Makes a mail from a report: two small templates draw the page of blocks, once as text and once as HTML.

Every value passes `harmless` on its way into either version, and is escaped by Jinja2 in the HTML one.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from importlib import resources

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from roster_pipeline.notifications.blocks import Page, Table
from roster_pipeline.notifications.content import FailureAlert, SyncReport
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.mail_page import page_of
from roster_pipeline.notifications.outcome import subject

STYLESHEET = "templates/mail.css"
TEXT_WIDTH = 76
"""Columns of the text version. This fits a terminal and a quoted reply."""

_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Controls (the line feed excepted), characters that change the direction of text, and half characters."""
_ADDRESS = re.compile(r"[^\s<>@\"'(),;:]+@[^\s<>@\"'(),;:]*[^\s<>@\"'(),;:.]")


def render(report: SyncReport | FailureAlert, *, commands: bool | None = None) -> Mail:
    """The mail: subject, text and HTML, with the same content in both. commands: as for `page_of`."""
    return draw(page_of(report, commands=commands), subject(report), report.school_key)


def draw(page: Page, subject_line: str, school: str) -> Mail:
    """Draw any page as a mail. school: its key, for the header that mail rules sort by; empty for several schools."""
    line = harmless(subject_line)
    text = _templates().get_template("mail.txt.j2").render(page=page)
    html = _inlined(_templates().get_template("mail.html.j2").render(page=page, subject=line))
    return Mail(line, text, html, school)


def _inlined(html: str) -> str:
    """Put the stylesheet's rules into the elements, and its @media rules into the head."""
    return f"{_inliner().inline(html).strip()}\n"


@cache
def _inliner() -> css_inline.CSSInliner:
    style = resources.files("roster_pipeline.notifications").joinpath(STYLESHEET).read_text(encoding="utf-8")
    return css_inline.CSSInliner(extra_css=style, keep_at_rules=True, load_remote_stylesheets=False)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("roster_pipeline.notifications"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = wrapped
    environment.filters["aligned"] = aligned
    return environment


def harmless(text: str) -> str:
    """The text without unprintable characters, and with masked e-mail addresses, because a message from another system
    may repeat one."""
    return _ADDRESS.sub("[address]", _UNPRINTABLE.sub("", text))


def _finalize(value: object) -> object:
    return harmless(value) if isinstance(value, str) else value


def wrapped(text: str, indent: str = "") -> str:
    """One paragraph in lines of `TEXT_WIDTH`; addresses and long words stay whole."""
    return textwrap.fill(
        " ".join(text.split()),
        TEXT_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def aligned(table: Table) -> str:
    """A table as lines: text to the left, numbers to the right, a heading underlined."""
    lines = [table.headings, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.headings))]
    drawn = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in pairs).rstrip()
        for pairs in (list(enumerate(zip(line, widths, strict=True))) for line in lines)
    ]
    return "\n".join([drawn[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *drawn[1:]])
