"""The mail as a page of plain blocks, the addresses to which it may link, and remedies for readers of the console.

Both versions of a mail, HTML and text, are drawn from this one page, by two small templates. So neither can say more
than the other. Every value passes `harmless` on its way into either version, and is escaped by Jinja2 in the HTML one.

Errors are written once, with the command that is the remedy. Owners of schools have pages but no shell, so they read
which page to open instead of the command.
"""

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import ClassVar, Literal

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.outcome import Tone

SYNC, TEST = "Sync now", "Test Your Information"
BUTTONS = {"sync": SYNC, "test-connection": TEST, "school resume": "Resume"}
"""Commands that are one button. Each entry has the first words of a command; the longest comes first."""
PAGES = {
    "history": "the page Syncs", "hold": "the page Holds", "plan": "the page of the plan",
    "person find": "the page People", "person": "the page of the person", "people": "the page People",
    "connection": "the page Settings", "school": "the page Settings", "sis": "the page Settings",
    "access": "the page Access", "audit": "the page Audit", "rollback": "the page of the sync",
    "run": "the page Preview & run",
}  # fmt: skip
OPERATOR, OF_OPERATOR = "An operator has the command", "a command that an operator has"
"""For commands without a page: the database, keys, mails of the installation. The second one is for the middle of a
sentence: `Make one with: a command that an operator has`."""
_COMMAND = re.compile(
    r"(?P<lead>\b(?:(?:[Tt]hen )?[Rr]un|[Tt]ry|[Ss]ee): ?)?(?P<colon>: )?"
    r"`?roster (?P<words>[a-z][a-z-]*(?: [a-z][a-z-]*)?)\b"
    r"(?P<rest>(?:\"[^\"]*\"|[^,;`\n.)]|\.(?!\s|$))*)`?"
)
_COMMANDS = {
    *(name.split()[0] for name in BUTTONS),
    *(name.split()[0] for name in PAGES),
    *("init", "district", "secrets", "application", "outbox", "console", "web", "dagster", "doctor", "metrics"),
    *("prune", "dev", "demo", "simulator"),
}
STYLESHEET = "templates/mail.css"
TEXT_WIDTH = 76
"""Columns of the text version. This fits a terminal and a quoted reply."""
_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Controls (the line feed excepted), characters that change the direction of text, and half characters."""
_ADDRESS = re.compile(r"[^\s<>@\"'(),;:]+@[^\s<>@\"'(),;:]*[^\s<>@\"'(),;:.]")


@dataclass(frozen=True)
class Sentence:
    """A paragraph. `quiet`: it only explains something."""

    kind: ClassVar[str] = "sentence"
    text: str
    weight: Literal["normal", "strong", "quiet"] = "normal"


@dataclass(frozen=True)
class Command:
    """A command to type. It has its own line."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True)
class Link:
    """A page to open: what it shows, and its http(s) address. It is a button or, if `quiet`, a line among others."""

    kind: ClassVar[str] = "link"
    text: str
    url: str
    quiet: bool = False


@dataclass(frozen=True)
class Table:
    """The first column is text, the others are numbers."""

    kind: ClassVar[str] = "table"
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


Block = Sentence | Command | Link | Table | Facts


@dataclass(frozen=True)
class Section:
    """A heading and its blocks; a section with `attention` is highlighted."""

    title: str
    blocks: tuple[Block, ...]
    attention: bool = False


@dataclass(frozen=True)
class Page:
    """One mail. action: the next step, a button near the top. run: the Dagster run, for engineers, at the end."""

    school: str
    tone: Tone
    badge: str
    headline: str
    sections: tuple[Section, ...]
    footer: str
    remarks: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    action: Link | None = None
    run: str | None = None


def web_address(url: str | None, path: str = "") -> str | None:
    """The address, and a page below it, if it is one that a mail may link to."""
    whole = f"{(url or '').rstrip('/')}{path}"
    return whole if re.match(r"https?://[^\s\"'<>]+$", whole) else None


def page_link(console_url: str | None, path: str, text: str, *, quiet: bool = False) -> Link | None:
    """A link to a page of the console; None if there is no console."""
    url = web_address(console_url, path)
    return Link(text, url, quiet) if url else None


def in_console(text: str) -> str:
    """The text with pages and buttons of the console instead of commands: `Then run: roster test-connection oak`
    becomes `Then press Test Your Information.`"""
    if "roster " not in text:
        return text
    return _COMMAND.sub(_instruction, text)


def _instruction(found: re.Match[str]) -> str:
    words = found["words"]
    first = words.split()[0]
    if first not in _COMMANDS or not (found["lead"] or _marked(found)):
        return found[0]
    lead, colon = found["lead"] or "", found["colon"] or ""
    button = BUTTONS.get(words) or BUTTONS.get(first)
    page = PAGES.get(words) or PAGES.get(first)
    end = "" if found.string[found.end() :][:1].strip() else "."
    if not button and not page:
        return (OPERATOR if lead else f"{colon}{OF_OPERATOR}") + end
    if not lead and not button:
        return f"{', ' if colon else ''}on {page}{end}"
    instruction = f"press {button}" if button else f"open {page}"
    if lead[:4].lower() == "then":
        return f"{lead[:4]} {instruction}{end}"
    return f"{colon}{instruction[0].upper() if lead[:1].isupper() else instruction[0]}{instruction[1:]}{end}"


def _marked(found: re.Match[str]) -> bool:
    """Whether a mark shows that the words are a command. In "the roster sync failed" there is none."""
    return bool(found["colon"]) or "`" in found[0] or found.string[: found.start()].endswith("(")


def draw(page: Page, subject_line: str, school: str) -> Mail:
    """Draw any page as a mail. school: its key, for the header that mail rules sort by; empty for several schools."""
    line = harmless(subject_line)
    text = _templates().get_template("mail.txt.j2").render(page=page)
    html = _inliner().inline(_templates().get_template("mail.html.j2").render(page=page, subject=line))
    return Mail(line, text, f"{html.strip()}\n", school)


@cache
def _inliner() -> css_inline.CSSInliner:
    """It puts the stylesheet's rules into the elements, and its @media rules into the head."""
    style = resources.files("roster_pipeline.notifications").joinpath(STYLESHEET).read_text(encoding="utf-8")
    return css_inline.CSSInliner(extra_css=style, keep_at_rules=True, load_remote_stylesheets=False)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("roster_pipeline.notifications"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        finalize=lambda value: harmless(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = wrapped
    environment.filters["aligned"] = aligned
    return environment


def harmless(text: str) -> str:
    """The text without unprintable characters, and with masked e-mail addresses."""
    return _ADDRESS.sub("[address]", _UNPRINTABLE.sub("", text))


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
