"""The mail as a page of plain blocks, the addresses to which it may link, and remedies for readers of the console.

Both versions of a mail, HTML and text, are drawn from this one page, so neither can say more than the other.

Errors are written once, with the command that is the remedy. Owners of schools have pages but no shell, so they read
which page to open instead of the command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from roster_pipeline.notifications.outcome import Tone

SYNC, TEST = "Sync now", "Test Your Information"
BUTTONS = {"sync": SYNC, "test-connection": TEST, "school resume": "Resume"}
"""Commands that are one button. Each entry has the first words of a command; the longest comes first."""
PAGES = {
    "history": "the page Syncs",
    "hold": "the page Holds",
    "plan": "the page of the plan",
    "person": "the page of the person",
    "people": "the page People",
    "connection": "the page Settings",
    "school": "the page Settings",
    "sis": "the page Settings",
    "access": "the page Access",
    "audit": "the page Audit",
    "rollback": "the page of the sync",
    "run": "the page Preview & run",
}
OPERATOR = "an operator has the command"
"""For commands without a page: the database, keys, mails of the installation."""
_COMMAND = re.compile(
    r"(?P<lead>\b(?:(?:[Tt]hen )?[Rr]un|try): ?)?`?roster (?P<words>[a-z][a-z-]*(?: [a-z][a-z-]*)?)\b"
    r"(?P<rest>(?:\"[^\"]*\"|[^,;`\n.)]|\.(?!\s|$))*)`?"
)
_COMMANDS = {
    *(name.split()[0] for name in BUTTONS),
    *PAGES,
    *("init", "district", "secrets", "application", "outbox", "console", "web", "dagster", "doctor", "metrics"),
    *("prune", "dev", "demo", "simulator"),
}


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
    """The first column is text, the others are numbers; the last row is a total if `total` says so."""

    kind: ClassVar[str] = "table"
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


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
    """One mail. action: the one thing to do, as a button after the first lines. run: the page of the Dagster run, for
    engineers, at the end; None or an http(s) address."""

    school: str
    tone: Tone
    badge: str
    headline: str
    remarks: tuple[str, ...]
    details: tuple[str, ...]
    action: Link | None
    sections: tuple[Section, ...]
    footer: str
    run: str | None = None


def web_address(url: str | None, path: str = "") -> str | None:
    """The address, and a page below it, if it is one that a mail may link to."""
    whole = f"{(url or '').rstrip('/')}{path}"
    return whole if re.match(r"https?://[^\s\"'<>]+$", whole) else None


def page_links(console_url: str | None, path: str, text: str) -> tuple[Link, ...]:
    """One link to a page of the console; none if there is no console."""
    url = web_address(console_url, path)
    return (Link(text, url),) if url else ()


def in_console(text: str) -> str:
    """The text with pages and buttons of the console instead of commands. Text without a command stays as it is.

    `Then run: roster test-connection oak` becomes `Then press Test Your Information`.
    """
    if "roster " not in text:
        return text
    return _COMMAND.sub(_said, text)


def _said(found: re.Match[str]) -> str:
    words = found["words"]
    first = words.split()[0]
    if first not in _COMMANDS or not (found["lead"] or _marked(found)):
        return found[0]
    lead = found["lead"] or ""
    button = BUTTONS.get(words) or BUTTONS.get(first)
    if button and lead:
        begin = lead.strip(": ").lower().replace("run", "press").replace("try", "press")
        return f"{begin[0].upper() if lead[0].isupper() else begin[0]}{begin[1:]} {button}"
    said = f"press {button}" if button else PAGES.get(first, OPERATOR)
    if not lead:
        return said
    return f"{lead}{said}" if first in PAGES else said[0].upper() + said[1:]


def _marked(found: re.Match[str]) -> bool:
    """Whether a mark shows that the words are a command. In "the roster sync failed" there is none."""
    before = found.string[: found.start()].rstrip(" ")
    return found[0].startswith("`") or before.endswith((":", "("))
