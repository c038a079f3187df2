"""Which columns a file has, and which member of a record each of them is.

Headers are compared without case, blanks and punctuation, in any order; unknown columns are ignored, and so are
passwords. A column that people cannot do without is an error that names file and column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roster_pipeline.oneroster.bundle.bundle_errors import WrongHeader
from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.user_records import ALIASES

METADATA = "metadata."
_OTHER_SEPARATORS = (";", "\t", "|")


@dataclass(frozen=True)
class FileColumns:
    """The columns of one file: the standard's name to the member it becomes; and which of them there must be.

    Some exporters call columns as the API calls its members, or misspell them: those names are known as they are there.
    Where two columns become one member, the first named here wins. expected: the standard wants them, we can do
    without.
    """

    members: Mapping[str, str]
    needed: tuple[str, ...]
    expected: tuple[str, ...] = ()


_SAME = {name: name for name in ("sourcedId", "status", "dateLastModified")}
ORGS = FileColumns(
    members=_SAME
    | {"name": "name", "type": "type", "identifier": "identifier"}
    | dict.fromkeys(("parentSourcedId", "parent"), "parent"),
    needed=("sourcedId", "name"),
    expected=("type",),
)
_USERS = (
    _SAME
    | {name: name for name in ("enabledUser", "username", "userIds", "givenName", "familyName", "middleName")}
    | {name: name for name in ("identifier", "email", "sms", "phone", "grades", "role", "userMasterIdentifier")}
    | {
        "orgSourcedIds": "orgs",
        "agentSourcedIds": "agents",
        "preferredGivenName": "preferredFirstName",
        "preferredFirstName": "preferredFirstName",
        "preferredMiddleName": "preferredMiddleName",
        "preferredFamilyName": "preferredLastName",
        "preferredLastName": "preferredLastName",
        "primaryOrgSourcedId": "primaryOrg",
    }
)
USERS = FileColumns(
    members=_USERS | {name: member for name, member in ALIASES.items() if member in _USERS.values()},
    needed=("sourcedId", "givenName", "familyName"),
    expected=("enabledUser", "username"),
)
ROLES = FileColumns(
    members=_SAME
    | {"userSourcedId": "user", "user": "user", "orgSourcedId": "org", "org": "org"}
    | {name: name for name in ("roleType", "role", "beginDate", "endDate")},
    needed=("userSourcedId", "role", "orgSourcedId"),
    expected=("sourcedId",),
)
ENROLLMENTS = FileColumns(
    members=_SAME
    | {"userSourcedId": "user", "user": "user", "schoolSourcedId": "school", "school": "school"}
    | {name: name for name in ("role", "beginDate", "endDate")},
    needed=("userSourcedId", "schoolSourcedId"),
)
BY_FILE = {"orgs": ORGS, "users": USERS, "roles": ROLES}


@dataclass(frozen=True)
class Layout:
    """Where in a row each member is; metadata: the wanted keys of it. missing: expected columns that are not there."""

    positions: Mapping[str, int]
    metadata: Mapping[str, int]
    missing: tuple[str, ...]


def layout_of(
    file: str, header: Sequence[str], columns: FileColumns, metadata_keys: Sequence[str] = (), also: Sequence[str] = ()
) -> Layout:
    """The layout of a file; `also` names further columns that are needed this time. Raises WrongHeader."""
    places: dict[str, int] = {}
    twice: set[str] = set()
    for at, name in enumerate(header):
        key = folded(name)
        if key and not name.lower().startswith(METADATA):
            twice.update({key} if key in places else ())
            places.setdefault(key, at)
    positions: dict[str, int] = {}
    for name, member in columns.members.items():
        key = folded(name)
        if key in twice:
            raise WrongHeader(
                f"{file} names the column {name} twice.", f"Export it again with one {name} column, or remove one."
            )
        if key in places:
            positions.setdefault(member, places[key])
    lacking = [name for name in (*columns.needed, *also) if columns.members.get(name, name) not in positions]
    if lacking:
        raise _lacking(file, header, lacking)
    metadata = {
        key: at
        for key in metadata_keys
        for at, name in enumerate(header)
        if name.lower() == METADATA + key.lower().removeprefix(METADATA)
    }
    missing = tuple(name for name in columns.expected if folded(name) not in places)
    return Layout(positions, metadata, missing)


def separated_otherwise(file: str, header: Sequence[str]) -> WrongHeader | None:
    """What to say where a header looks as if its columns were separated by something other than commas; else None."""
    if len(header) != 1 or not any(separator in header[0] for separator in _OTHER_SEPARATORS):
        return None
    return WrongHeader(
        f"The columns of {file} are not separated by commas.",
        "Export it as CSV with commas; a spreadsheet program may have saved it with its own separator.",
    )


def _lacking(file: str, header: Sequence[str], lacking: Sequence[str]) -> WrongHeader:
    wrong = separated_otherwise(file, header)
    if wrong is not None:
        return wrong
    names = "column" if len(lacking) == 1 else "columns"
    return WrongHeader(
        f"{file} lacks the {names} {', '.join(lacking)}.",
        "Its first line must name the columns as the OneRoster CSV standard does; check the export's settings.",
    )
