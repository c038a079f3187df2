"""The supported SISs: what is publicly known about each, as data. `docs/sis_pages.py` makes docs/sis/ from it."""

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

SIGN_IN = {
    "auto": "found out automatically",
    "oauth2": "OAuth 2.0 client credentials",
    "oauth1": "OAuth 1.0a",
    "bearer": "static bearer token",
}
UNKNOWN = "not publicly known"

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


def offered(preset: Preset, subject: Subject) -> str:
    """The facts about a preset's subject, as one line."""
    offers = []
    for offer in preset.offered(subject):
        of = f" ({', '.join(offer.versions)})" if offer.versions else ""
        offers.append(f"{'yes' if offer.given else 'no'}{of}: {offer.says}")
    return " ".join(offers) or UNKNOWN
