"""The supported SIS list: what is publicly known of each system, as data; the pages of docs/sis/ are made of it.

`python -m roster_pipeline.oneroster.preset_pages docs/sis` writes the pages.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
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
