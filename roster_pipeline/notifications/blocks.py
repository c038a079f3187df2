"""The mail as a page of plain blocks: headings, sentences, tables, commands.

Both versions of a mail, HTML and text, are drawn from this one page, so neither can say more than the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from roster_pipeline.notifications.outcome import Tone


@dataclass(frozen=True)
class Sentence:
    """A paragraph; `quiet` for what only explains."""

    kind: ClassVar[str] = "sentence"
    text: str
    weight: Literal["normal", "strong", "quiet"] = "normal"


@dataclass(frozen=True)
class Command:
    """Something to type, alone in its line."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True)
class Link:
    """A page to open: what it shows, and its http(s) address. A button, or `quiet`: a line among others."""

    kind: ClassVar[str] = "link"
    text: str
    url: str
    quiet: bool = False


@dataclass(frozen=True)
class Table:
    """The first column is text, the others are numbers; the last row is a total where `total` says so."""

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
    """A heading and its blocks; a section in `attention` stands out."""

    title: str
    blocks: tuple[Block, ...]
    attention: bool = False


@dataclass(frozen=True)
class Page:
    """One mail. action: the one thing to do, as a button behind the first lines. run: the page of the Dagster run, for
    engineers, at the end; None or an http(s) address.
    """

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
