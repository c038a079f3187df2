"""Which columns a file has, and how its rows become records of the shape that the API sends.

Headers are compared without case, blanks and punctuation, in any order. Unknown columns and passwords are ignored. If a
needed column is missing, the error names file and column.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from roster_pipeline.oneroster.bundle.bundle_files import WrongHeader
from roster_pipeline.oneroster.bundle.csv_table import EMPTY_CELL, Unreadable
from roster_pipeline.oneroster.bundle.row_repair import Row
from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import text
from roster_pipeline.oneroster.records.user_records import ALIASES, reject

METADATA = "metadata."
_OTHER_SEPARATORS = (";", "\t", "|")
_BRACED = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class FileColumns:
    """The columns of one file: the standard's name to the member it becomes.

    Some exporters name columns as the API names its members, or misspell them; those names are listed too. If two
    columns become one member, the first one listed here counts. needed: it is an error if they are missing. expected:
    the standard requires them, but we do not need them.
    """

    members: Mapping[str, str]
    needed: tuple[str, ...]
    expected: tuple[str, ...] = ()


_COMMON = {name: name for name in ("sourcedId", "status", "dateLastModified")}
ORGS = FileColumns(
    members=_COMMON
    | {"name": "name", "type": "type", "identifier": "identifier"}
    | dict.fromkeys(("parentSourcedId", "parent"), "parent"),
    needed=("sourcedId", "name"),
    expected=("type",),
)
_USERS = (
    _COMMON
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
    members=_COMMON
    | {"userSourcedId": "user", "user": "user", "orgSourcedId": "org", "org": "org"}
    | {name: name for name in ("roleType", "role", "beginDate", "endDate")},
    needed=("userSourcedId", "role", "orgSourcedId"),
    expected=("sourcedId",),
)
ENROLLMENTS = FileColumns(
    members=_COMMON
    | {"userSourcedId": "user", "user": "user", "schoolSourcedId": "school", "school": "school"}
    | {name: name for name in ("role", "beginDate", "endDate")},
    needed=("userSourcedId", "schoolSourcedId"),
)
BY_FILE = {"orgs": ORGS, "users": USERS, "roles": ROLES}


@dataclass(frozen=True)
class ColumnLayout:
    """The position of each member in a row, and of each wanted metadata key. missing: expected columns not there."""

    positions: Mapping[str, int]
    metadata: Mapping[str, int]
    missing: tuple[str, ...]


def column_layout(
    file: str, header: Sequence[str], columns: FileColumns, metadata_keys: Sequence[str] = (), also: Sequence[str] = ()
) -> ColumnLayout:
    """The layout of a file. also: further columns that are needed this time. Raises WrongHeader."""
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
    return ColumnLayout(positions, metadata, missing)


def wrong_separator(file: str, header: Sequence[str]) -> WrongHeader | None:
    """The error for a header whose columns seem to be separated by something other than commas; else None."""
    if len(header) != 1 or not any(separator in header[0] for separator in _OTHER_SEPARATORS):
        return None
    return WrongHeader(
        f"The columns of {file} are not separated by commas.",
        "Export it as CSV with commas; a spreadsheet program may have saved it with its own separator.",
    )


def _lacking(file: str, header: Sequence[str], lacking: Sequence[str]) -> WrongHeader:
    separator_error = wrong_separator(file, header)
    if separator_error is not None:
        return separator_error
    names = "column" if len(lacking) == 1 else "columns"
    return WrongHeader(
        f"{file} lacks the {names} {', '.join(lacking)}.",
        "Its first line must name the columns as the OneRoster CSV standard does; check the export's settings.",
    )


def record_maker(columns: ColumnLayout) -> Callable[[Row], dict[str, Any]]:
    """A function from a row to a record of its filled cells: orgs split at commas, with the wanted metadata.

    A row without a single filled cell becomes an empty record.
    """
    names = tuple(columns.positions)
    cells = cell_picker(columns, names)
    metadata = tuple(columns.metadata.items())

    def make(row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {name: cell for name, cell in zip(names, cells(row), strict=True) if cell}
        if "orgs" in record:
            record["orgs"] = _list(record["orgs"])
        if "userIds" in record:
            record["userIds"] = _user_ids(record["userIds"])
        if metadata and record:
            record["metadata"] = {key: row[at] or None for key, at in metadata}
        return record

    return make


def cell_picker(columns: ColumnLayout, names: Sequence[str]) -> Callable[[Row], tuple[str, ...]]:
    """A function from a row to its cells of these names (two or more); empty texts for missing columns."""
    return itemgetter(*[columns.positions.get(name, EMPTY_CELL) for name in names])


def unreadable_rejects(
    rows: Sequence[Unreadable], collection: str, columns: ColumnLayout
) -> tuple[list[dict[str, Any]], bool]:
    """Rejections for unreadable rows, and whether one of them may be about anybody.

    The first cell of a row that is cut or too long is still right. It is the sourcedId if that column comes first.
    """
    is_first = columns.positions["sourcedId"] == 0
    ids = [text(row.first) if is_first else None for row in rows]
    rejects = [reject(sourced_id, collection, "row", row.rule) for sourced_id, row in zip(ids, rows, strict=True)]
    return rejects, None in ids or any(row.anybodys for row in rows)


def _list(cell: str) -> list[str]:
    if "," not in cell:
        return [cell]
    return [item for part in cell.split(",") if (item := part.strip())]


def _user_ids(cell: str) -> list[str]:
    """`{type:identifier}` items; text between braces is one item, including its commas."""
    if "{" in cell:
        return _BRACED.findall(cell) or [cell]
    return _list(cell)
