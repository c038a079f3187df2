"""Errors for people who read them: the base of all errors with a remedy, and why a snapshot is not complete.

Each family of errors is in the package that raises it: `OneRosterError` (the SIS), `DirectoryError` (the database),
`MailError`, `SyncError` (a step of one school's sync), and in `settings` `InstallationError` (environment variables).
No text holds a value from a person's record.

Each missing part of a snapshot is a slug in its proof. `WORDS` says what it means in a report.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

WORDS: dict[str, str] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
"""What each slug means, or its part before a colon."""
ABOUT_AGE = "source-"
"""The beginning of the slugs that concern the age of the source."""
WITHOUT_SCHOOL = "all of one role came without a school"
NO_ID = "records-without-id"
"""A note of a proof: records came that do not say whose they are. It is a problem if the SIS has no second witness."""
ORGS_ARE_DELTA = "orgs-are-delta"
"""A note of a proof: orgs.csv holds only changed orgs."""
BULK_ORGS = "Let the export write all orgs, and call file.orgs bulk in its manifest."
LOST_COLUMNS = "lost_columns"
"""A key of a proof: for orgs and users, the members (of CSV files, the columns) that came before and come no longer."""
CLOCK_AHEAD = "clock-ahead"
CLOCK_BEHIND = "clock-behind"
"""Notes of a proof. After a colon, they say by how much the SIS's clock is wrong."""


def with_keys(text: str, *, school: str = "", connection: str = "") -> str:
    """The text of a remedy with keys instead of `SCHOOL` and `CONNECTION` in its commands."""
    for word, key in (("SCHOOL", school), ("CONNECTION", connection)):
        text = re.sub(rf"\b{word}\b", key, text) if key else text
    return text


class RosterError(Exception):
    """An error with a remedy. `str()` is the message and, on its own line, the remedy. retryable: whether the same work
    may succeed later without anybody changing anything."""

    retryable = False

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


def clock_in_words(note: str) -> str:
    """A note on the SIS's clock in words, such as "2 hours ahead"; "" for any other note."""
    slug, _, much = note.partition(":")
    return {CLOCK_AHEAD: f"{much} ahead", CLOCK_BEHIND: f"{much} behind"}.get(slug, "")


def in_words(problem: str) -> str:
    """A problem of a proof in words; what follows a colon in the slug (a role or a file) is in brackets. A slug that
    has no words yet is shown with blanks instead of hyphens."""
    slug, _, of = problem.partition(":")
    words = WITHOUT_SCHOOL if slug == "no-orgs" and of else WORDS.get(slug, slug.replace("-", " "))
    return f"{words} ({of})" if of else words


def noticed(
    unlisted: int = 0,
    respelled: int = 0,
    below: int = 0,
    unclear: int = 0,
    roleless: int = 0,
    deleted: bool = False,
    lost_columns: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, ...]:
    """Unclear references and dates: one text for each count that is not 0. Each counts people.

    unlisted: their org is not listed. respelled: their org was written in another way, and we could read it. below:
    they belong only to orgs below the school, which do not count as it. unclear: a date of a role cannot be read.
    roleless: the bundle gives them no role. deleted: the SIS marks the school as deleted. lost_columns: of each CSV
    file, columns that it had before.
    """
    texts = (
        (unlisted, "name", "an org that the SIS does not list"),
        (respelled, "name", "an org in another way than by its sourcedId; it was read"),
        (below, "belong", "to orgs below this school, such as a campus, and not to the school"),
        (unclear, "have", "a role with a date that cannot be read; it may have ended"),
        (roleless, "have", "no role in the bundle, and so no school; is roles.csv as new as users.csv?"),
    )
    lost = [
        f"{file} came without {', '.join(names)}, which came before: the earlier values stay; let the SIS send them "
        "again, or let a CSV file have empty cells if they must go"
        for file, names in (lost_columns or {}).items()
    ]
    gone = ["the SIS marks this school as deleted: choose the school that took its place"] if deleted else []
    return (*gone, *lost, *(f"{_people(count, verb)} {what}" for count, verb, what in texts if count))


def _people(count: int, verb: str) -> str:
    if count == 1:
        return f"1 person {'has' if verb == 'have' else verb + 's'}"
    return f"{count:,} people {verb}"
