"""Whether the last Test Your Information of a school is still valid, and when automatic rostering needs one.

A change of the connection (its address, Client ID, Client Secret or any other setting) or of the School ID makes the
last test stale. A page needs a green test of the connection as it is then: if somebody switches automatic rostering on,
or makes such a change while it is on. A school that already runs may have a red test or none if nothing of this
changes, because its SIS may be away today. The command line warns and goes on, because scripts set schools up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.oneroster.connection_test_items import ROLE_NAMES
from roster_pipeline.settings.fields import CONNECTION, Setting
from roster_pipeline.vocabulary import people_of

IN_REMEDIES = {
    "token url": "token_url",
    "scopes": "scopes",
    "page size": "page_size",
    "ca bundle": "ca_bundle",
    "host key": "host_key",
}
"""The names that remedies use for settings that the form folds away."""


class LastTest(StrEnum):
    """The result of the last test for the connection as it is now."""

    NEVER = "never"
    STALE = "stale"
    RED = "red"
    GREEN = "green"


class NeedsTest(DirectoryError):
    """Automatic rostering cannot be on without a test that allows it, so nothing was saved."""

    def __init__(self, state: LastTest) -> None:
        super().__init__(_WHY[state], "Press Test Your Information, then save; or leave automatic rostering off.")
        self.state = state


_WHY = {
    LastTest.NEVER: "Automatic rostering needs a test first.",
    LastTest.STALE: "The connection or the School ID changed since the last test; automatic rostering needs a new one.",
    LastTest.RED: "The last test found something that does not work, so automatic rostering cannot be switched on.",
}


def last_test(school: SchoolRow) -> LastTest:
    """The result of the school's last test for its connection as it is now."""
    if not school.test:
        return LastTest.NEVER
    now = {"revision": school.connection.revision, "school_id": school.settings.school_id}
    if school.test.get("of") != now:
        return LastTest.STALE
    red = any(item["ok"] is False for item in school.test["items"])
    return LastTest.RED if red else LastTest.GREEN


def tested_school(items: Sequence[Mapping[str, Any]]) -> str:
    """The people that a test found, in words: `Oak High: 412 students, 31 teachers`.

    Empty if the test did not get so far.
    """
    names = [str(item["value"]) for item in items if item["name"] == "School" and item.get("value")]
    counts = {item["name"]: item["value"] for item in items if isinstance(item.get("value"), int)}
    people = [people_of(role, counts[name]) for role, name in ROLE_NAMES.items() if name in counts]
    return f"{names[0]}: {', '.join(people)}" if names and people else ""


def fields_named(items: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """The folded settings that the remedies of red items name, so that a page can unfold them."""
    remedies = " ".join(str(item["remedy"]).lower() for item in items if item["ok"] is False)
    found = {name for phrase, name in IN_REMEDIES.items() if phrase in remedies}
    return [setting for setting in CONNECTION if setting.name in found]


def may_be_automatic(before: SchoolRow, after: SchoolRow) -> None:
    """Raise NeedsTest if automatic rostering would be on without a valid test. before, after: the school as stored."""
    state = last_test(after)
    if not after.settings.automatic or state is LastTest.GREEN:
        return
    unchanged = (
        before.settings.automatic
        and before.settings.school_id == after.settings.school_id
        and before.connection.revision == after.connection.revision
    )
    if not unchanged:
        raise NeedsTest(state)


def runs_untested(school: SchoolRow) -> bool:
    """Whether a school runs every night although its connection was never tested, or not since it changed."""
    return school.settings.automatic and last_test(school) in (LastTest.NEVER, LastTest.STALE)
