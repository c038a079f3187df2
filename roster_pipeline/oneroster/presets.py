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

SIGN_IN = {
    "auto": "found out automatically",
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

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=400)]
Subject = Literal["staff", "admin", "guardians", "delta"]
SUBJECTS: dict[Subject, str] = {"staff": "Staff", "admin": "Admins", "guardians": "Guardians", "delta": "Changes only"}
"""The things that a SIS may deliver or not, with their names in Test Your Information. Every SIS delivers students and
teachers."""
UrlShape = Annotated[str, StringConstraints(pattern=r"^https://[^\s<>]+$")]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Data):
    """A public page that states a fact."""

    title: str = Field(min_length=3)
    address: HttpUrl


class Offer(_Data):
    """Whether the SIS delivers something. versions: empty means all. says: one sentence for owners."""

    subject: Subject
    given: bool
    says: Sentence
    versions: tuple[Literal["1.1", "1.2"], ...] = ()


class Preset(_Data):
    """One SIS. None, or an empty list, means that nothing is publicly known.

    url, token_url: the customer replaces the words in capitals. page_cap: the largest page of the server, in records.
    page_size: the page size to request. The *_at fields say where an owner finds a value in the SIS; csv_at: where the
    SIS exports OneRoster files, to use instead of its API.
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
        """The words in the URLs that the customer must replace."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(f"{self.url or ''} {self.token_url or ''}")))

    def offered(self, subject: Subject, version: str | None = None) -> tuple[Offer, ...]:
        """The facts about one subject. version: only what holds for this version."""
        return tuple(
            offer
            for offer in self.offers
            if offer.subject == subject and (version is None or not offer.versions or version in offer.versions)
        )

    def defaults(self) -> dict[str, Any]:
        """The settings of a new connection to this SIS, by name. Only what is right for every customer: no address with
        words to replace, and no version, which the client finds out."""
        settings: dict[str, Any] = {"sis": self.name, "sign_in": self.sign_in}
        urls = {"url": self.url, "token_url": self.token_url}
        settings |= {name: url for name, url in urls.items() if url and not _PLACEHOLDER.search(url)}
        values = {name: getattr(self, name) for name in _SETTINGS}
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return settings | {name: value for name, value in lists.items() if value is not None}


class UnknownPreset(LookupError):
    """No preset has this name."""

    def __init__(self, name: str) -> None:
        names = ", ".join(preset.name for preset in presets())
        super().__init__(f"The list has no SIS {name[:40]!r}.\nUse one of: {names}.")


def preset(name: str) -> Preset:
    """One preset by name. Raises UnknownPreset."""
    for known in presets():
        if known.name == name.strip().lower():
            return known
    raise UnknownPreset(name)


@cache
def presets() -> tuple[Preset, ...]:
    """All presets, by display name, "other" last."""
    text = resources.files(__package__).joinpath(DATA).read_text("utf-8")
    read = TypeAdapter(list[Preset]).validate_python(tomllib.loads(text)["preset"])
    return tuple(sorted(read, key=lambda preset: (preset.name == OTHER, preset.display_name.lower())))


def pages() -> dict[str, str]:
    """File name to text of all pages."""
    return {"README.md": _list(presets())} | {f"{preset.name}.md": _page(preset) for preset in presets()}


def write_pages(folder: Path) -> int:
    """Write all pages, and delete those of removed presets. Returns 0, the exit status of the command."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = pages()
    for file in folder.glob("*.md"):
        if file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return 0


def _list(listed: Iterable[Preset]) -> str:
    rows = [
        f"| [{preset.display_name}]({preset.name}.md) | `{preset.name}` | {', '.join(preset.versions) or UNKNOWN} "
        f"| {SIGN_IN[preset.sign_in]} | {preset.page_cap or UNKNOWN} | {'yes' if preset.csv_at else UNKNOWN} |"
        for preset in listed
    ]
    return "\n".join(
        [
            "# Supported SIS",
            "",
            _MADE,
            "",
            "Public facts about each system, with their sources. Choose preset with",
            "`roster connection add --sis NAME`; its page says where to find the values to enter. A system that is not",
            "here is `other`: the client finds out version, sign-in and paging. Without an API, see",
            "[CSV bundles](../csv.md).",
            "",
            "| System | Name | Versions | Sign-in | Largest page | CSV export |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _page(preset: Preset) -> str:
    facts = [
        ("URL", _code(preset.url)),
        ("Token URL", _code(preset.token_url)),
        ("Sign-in", SIGN_IN[preset.sign_in]),
        ("Versions", ", ".join(preset.versions) or UNKNOWN),
        ("Largest page", str(preset.page_cap or UNKNOWN)),
        ("Page size we ask for", str(preset.page_size or 1000)),
        ("Student number", _code(preset.student_number_from)),
        ("Staff number", _code(preset.staff_number_from)),
        ("Primary contact", _code(preset.primary_contact_from)),
        ("Contact rules", ", ".join(map(_code, preset.contact_rules or ())) or UNKNOWN),
    ]
    lines = [f"# {preset.display_name}", "", _MADE, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    if preset.placeholders:
        lines += ["", f"Replace the words in capitals ({', '.join(preset.placeholders)}) with your own."]
    lines += ["", "## Where to find what", ""]
    lines += [f"- **Client ID**: {preset.client_id_at or _ask('Client ID')}"]
    lines += [f"- **Client Secret**: {preset.client_secret_at or _ask('Client Secret')}"]
    lines += [f"- **School ID**: {preset.school_id_at or _SCHOOL_ID}"]
    lines += _section("What the SIS must grant", preset.permissions)
    lines += ["", "## What it delivers", "", "| | |", "|---|---|", "| Students, Teachers | yes |"]
    lines += [f"| {name} | {offered(preset, subject)} |" for subject, name in SUBJECTS.items()]
    lines += ["", "## Instead of the API", ""]
    lines += [f"{preset.csv_at or _NO_CSV} What we read of it: [CSV bundles](../csv.md)."]
    lines += _section("Known quirks", preset.quirks)
    lines += _section("Sources", [f"[{source.title}]({source.address})" for source in preset.sources])
    return "\n".join([*lines, ""])


def offered(preset: Preset, subject: Subject) -> str:
    """The facts about a preset's subject, as one line."""
    offers = []
    for offer in preset.offered(subject):
        of = f" ({', '.join(offer.versions)})" if offer.versions else ""
        offers.append(f"{'yes' if offer.given else 'no'}{of}: {offer.says}")
    return " ".join(offers) or UNKNOWN


def _section(title: str, entries: Iterable[str]) -> list[str]:
    lines = [f"- {entry}" for entry in entries]
    return ["", f"## {title}", "", *lines] if lines else []


def _code(value: str | None) -> str:
    return f"`{value}`" if value else UNKNOWN


def _ask(what: str) -> str:
    return f"Not publicly documented: ask the administrator or the vendor of the SIS for the {what}."


if __name__ == "__main__":
    sys.exit(write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/sis")))
