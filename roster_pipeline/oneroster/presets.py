"""The supported SIS list: what is publicly known of each system, as data; and the pages of docs/sis/ made from it.

`python -m roster_pipeline.oneroster.presets docs/sis` writes the pages.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, StringConstraints, TypeAdapter

from roster_pipeline.oneroster.http.endpoint import SignInKind

OTHER = "other"
DATA = "presets.toml"
_SETTINGS = ("page_size", "student_number_from", "staff_number_from", "primary_contact_from", "contact_rules")
_PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=400)]
Subject = Literal["staff", "admin", "guardians", "delta"]
SUBJECTS: dict[Subject, str] = {
    "staff": "Staff",
    "admin": "Admins",
    "guardians": "Guardians",
    "delta": "Changes only",
}
"""What an SIS may deliver or not, with its name in Test Your Information. Every SIS delivers students and teachers."""
UrlShape = Annotated[str, StringConstraints(pattern=r"^https://[^\s<>]+$")]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Data):
    """A public page a fact was taken from."""

    title: str = Field(min_length=3)
    address: HttpUrl


class Offer(_Data):
    """Whether the SIS delivers something, in these versions (none named: in all), and what to know about it."""

    subject: Subject
    given: bool
    says: Sentence
    versions: tuple[Literal["1.1", "1.2"], ...] = ()


class Preset(_Data):
    """One SIS. None, or an empty list, means that nothing is publicly known.

    url, token_url: shapes; words in capitals stand for what the customer has to put in. page_cap: the largest page the
    server gives. page_size: what to ask for. The *_at fields say where an owner finds a value in the SIS; csv_at: where
    the SIS exports OneRoster files, to be used in place of its API.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    display_name: str = Field(min_length=3)
    url: UrlShape | None = None
    token_url: UrlShape | None = None
    sign_in: SignInKind
    versions: tuple[Literal["1.1", "1.2"], ...]
    page_cap: int | None = Field(default=None, ge=1)
    page_size: int | None = Field(default=None, ge=1, le=100_000)
    student_number_from: str | None = None
    staff_number_from: str | None = None
    primary_contact_from: str | None = None
    contact_rules: tuple[str, ...] | None = None
    client_id_at: Sentence | None = None
    client_secret_at: Sentence | None = None
    school_id_at: Sentence | None = None
    csv_at: Sentence | None = None
    permissions: tuple[Sentence, ...] = ()
    offers: tuple[Offer, ...] = ()
    quirks: tuple[Sentence, ...] = ()
    sources: tuple[Source, ...]

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The words in the URL shapes that the customer has to replace."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(f"{self.url or ''} {self.token_url or ''}")))

    def offered(self, subject: Subject, version: str | None = None) -> tuple[Offer, ...]:
        """What is known of one subject; of one version, where that is given."""
        return tuple(
            one
            for one in self.offers
            if one.subject == subject and (version is None or not one.versions or version in one.versions)
        )

    def defaults(self) -> dict[str, Any]:
        """What a new connection to this SIS starts with, by the names of the connection's settings.

        Only what holds for every customer: an address with a placeholder is not among it, nor is the version, which is
        found out by asking.
        """
        chosen: dict[str, Any] = {"sis": self.name, "sign_in": self.sign_in}
        shapes = {"url": self.url, "token_url": self.token_url}
        chosen |= {setting: shape for setting, shape in shapes.items() if shape and not _PLACEHOLDER.search(shape)}
        known = {setting: getattr(self, setting) for setting in _SETTINGS}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
        return chosen | {setting: value for setting, value in plain.items() if value is not None}


class UnknownPreset(LookupError):
    """There is no such preset."""

    def __init__(self, name: str) -> None:
        known = ", ".join(one.name for one in presets())
        super().__init__(f"there is no SIS {name[:40]!r} in the list.\nUse one of: {known}.")


def presets() -> list[Preset]:
    """All presets, by display name, "other" last."""
    return list(_presets())


def preset(name: str) -> Preset:
    """One preset by name. Raises UnknownPreset."""
    for one in _presets():
        if one.name == name.strip().lower():
            return one
    raise UnknownPreset(name)


@cache
def _presets() -> tuple[Preset, ...]:
    text = resources.files(__package__).joinpath(DATA).read_text("utf-8")
    found = TypeAdapter(list[Preset]).validate_python(tomllib.loads(text)["preset"])
    return tuple(sorted(found, key=lambda one: (one.name == OTHER, one.display_name.lower())))


SIGN_IN = {
    "auto": "found out by asking",
    "oauth2": "OAuth 2.0 client credentials",
    "oauth1": "OAuth 1.0a",
    "bearer": "static bearer token",
}
UNKNOWN = "not publicly known"
_MADE = "<!-- Made from presets.toml by: python -m roster_pipeline.oneroster.presets docs/sis -->"
_SCHOOL_ID = (
    "Ask the administrator of the SIS for the `sourcedId` of the school's org. Its number (`identifier`) works as well."
)
_NO_CSV = "It is not publicly known whether the SIS exports OneRoster CSV files; many do, so ask its administrator."


def pages() -> dict[str, str]:
    """File name to text, of all pages."""
    return {"README.md": _list(presets())} | {f"{one.name}.md": _page(one) for one in presets()}


def write_pages(folder: Path) -> int:
    """Write all pages, and take away those of presets that are no more. Returns 0, for a command."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, "utf-8")
    return 0


def _list(known: Iterable[Preset]) -> str:
    rows = [
        f"| [{one.display_name}]({one.name}.md) | `{one.name}` | {', '.join(one.versions) or UNKNOWN} "
        f"| {SIGN_IN[one.sign_in]} | {one.page_cap or UNKNOWN} | {'yes' if one.csv_at else UNKNOWN} |"
        for one in known
    ]
    return "\n".join(
        [
            "# Supported SIS",
            "",
            _MADE,
            "",
            "What is publicly known of each system, with its sources. Choose one with",
            "`roster connection add --sis NAME`; its page says where to find the values to enter. A system that is not",
            "here is `other`: version, sign-in and paging are found out by asking. Without an API, see",
            "[CSV bundles](../csv.md).",
            "",
            "| System | Name | Versions | Sign-in | Largest page | CSV export |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _page(one: Preset) -> str:
    facts = [
        ("URL", _code(one.url)),
        ("Token URL", _code(one.token_url)),
        ("Sign-in", SIGN_IN[one.sign_in]),
        ("Versions", ", ".join(one.versions) or UNKNOWN),
        ("Largest page", str(one.page_cap or UNKNOWN)),
        ("Page size we ask for", str(one.page_size or 1000)),
        ("Student number", _code(one.student_number_from)),
        ("Staff number", _code(one.staff_number_from)),
        ("Primary contact", _code(one.primary_contact_from)),
        ("Contact rules", ", ".join(map(_code, one.contact_rules or ())) or UNKNOWN),
    ]
    lines = [f"# {one.display_name}", "", _MADE, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    if one.placeholders:
        lines += ["", f"Replace the words in capitals ({', '.join(one.placeholders)}) by your own."]
    lines += ["", "## Where to find what", ""]
    lines += [f"- **Client ID**: {one.client_id_at or _ask('Client ID')}"]
    lines += [f"- **Client Secret**: {one.client_secret_at or _ask('Client Secret')}"]
    lines += [f"- **School ID**: {one.school_id_at or _SCHOOL_ID}"]
    lines += _section("What the SIS must grant", one.permissions)
    lines += ["", "## What it delivers", "", "| | |", "|---|---|", "| Students, Teachers | yes |"]
    lines += [f"| {name} | {offered(one, subject)} |" for subject, name in SUBJECTS.items()]
    lines += ["", "## In place of the API", ""]
    lines += [f"{one.csv_at or _NO_CSV} What we read of it: [CSV bundles](../csv.md)."]
    lines += _section("Known quirks", one.quirks)
    lines += _section("Sources", [f"[{source.title}]({source.address})" for source in one.sources])
    return "\n".join([*lines, ""])


def offered(one: Preset, subject: Subject) -> str:
    """What is known of one subject, as one line."""
    told = []
    for offer in one.offered(subject):
        of = f" ({', '.join(offer.versions)})" if offer.versions else ""
        told.append(f"{'yes' if offer.given else 'no'}{of}: {offer.says}")
    return " ".join(told) or UNKNOWN


def _section(title: str, entries: Iterable[str]) -> list[str]:
    found = [f"- {entry}" for entry in entries]
    return ["", f"## {title}", "", *found] if found else []


def _code(value: str | None) -> str:
    return f"`{value}`" if value else UNKNOWN


def _ask(what: str) -> str:
    return f"Not publicly documented: ask the administrator or the vendor of the SIS for the {what}."


if __name__ == "__main__":
    sys.exit(write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/sis")))
