"""A district as a OneRoster CSV bundle, bulk or delta, as a zip or a folder, with the deviations of real exports.

The rows are made from the same objects that the REST side serves.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from roster_pipeline.simulator.catalog import ROUTES
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import ROOTS, V11, V12, Record
from roster_pipeline.simulator.view import RevisionCache, View

Row = dict[str, str]

BASE = ("sourcedId", "status", "dateLastModified")
_PERSON_NAMES = ("username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms", "phone")

SHARED_COLUMNS: dict[str, tuple[str, ...]] = {
    "orgs": (*BASE, "name", "type", "identifier", "parentSourcedId"),
    "classes": (
        *BASE, "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId",
        "termSourcedIds", "subjects", "subjectCodes", "periods",
    ),
    "enrollments": (
        *BASE, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate",
    ),
}  # fmt: skip
USERS_11 = (*BASE, "enabledUser", "orgSourcedIds", "role", *_PERSON_NAMES, "agentSourcedIds", "grades", "password")
USERS_12 = (
    *BASE, "enabledUser", *_PERSON_NAMES, "agentSourcedIds", "grades", "password", "userMasterIdentifier",
    "preferredGivenName", "preferredMiddleName", "preferredFamilyName", "primaryOrgSourcedId", "pronouns",
)  # fmt: skip
ROLES = (
    *BASE, "userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId",
)  # fmt: skip

OTHER_FILES_11 = (
    "academicSessions", "categories", "classResources", "courseResources", "courses", "demographics", "lineItems",
    "resources", "results",
)  # fmt: skip
OTHER_FILES_12 = (
    *OTHER_FILES_11, "lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds",
    "resultScoreScales", "scoreScales", "userProfiles", "userResources",
)  # fmt: skip
"""Files of the standard that the manifest must name although this export does not have them."""

CSV_NAMES = {"preferredGivenName": "preferredFirstName", "preferredFamilyName": "preferredLastName"}
"""The member of each column, if the names differ by more than a rule."""
METADATA = "metadata."
ROOT = "https://sis.example"
"""Any root URL for references; CSV holds only their ids."""
BULK, DELTA = "bulk", "delta"
ORDER = ("orgs", "classes", "users", "roles", "enrollments")
LISTS = ("orgSourcedIds", "agentSourcedIds", "grades", "termSourcedIds", "userIds")
PADDED_EMPTY = ("email", "sms", "phone")


@dataclass(frozen=True)
class Deviation:
    """How an export differs from the CSV binding of the standard; by default, it does not differ."""

    header_case: bool = False
    """`SourcedID` instead of `sourcedId`, and similar changes."""
    bom: bool = False
    extra_column: bool = False
    """A column of the vendor at the right."""
    blanks_in_lists: bool = False
    """`"1 , 2"` in lists, and a blank as an empty e-mail or phone."""
    shuffled_columns: bool = False
    encoding: str = "utf-8"
    """`cp1252` for the files of old Windows systems; letters it lacks become question marks."""
    no_manifest: bool = False
    no_roles_file: bool = False
    """1.2 without roles.csv: no person has a role or a school."""
    roles_in_users: bool = False
    """1.2's manifest, but role and orgSourcedIds in users.csv as in 1.1."""
    below_folder: str = ""
    """Files below this folder in the zip, e.g. `export/`."""
    extra_files: bool = False
    """A readme and a vendor's file next to the files of the standard."""
    missing: tuple[str, ...] = ()
    """Files left out although the manifest names them (`users`)."""
    renamed: Mapping[str, str] | None = None
    """File -> other name (`{"users": "Users_export"}`)."""
    wrong_header: tuple[str, ...] = ()
    """Files whose first column is called `id`."""
    status_filled: bool = False
    """Bulk with `active` in the status column."""
    no_data_rows: tuple[str, ...] = ()
    """Files with a header only."""


STANDARD = Deviation()


def columns_of(version: str) -> dict[str, tuple[str, ...]]:
    """The columns of each file this export writes, by file name without extension."""
    if version == V11:
        return {**SHARED_COLUMNS, "users": USERS_11}
    return {**SHARED_COLUMNS, "users": USERS_12, "roles": ROLES}


def write_csv_bundle(
    district: District,
    path: Path,
    *,
    version: str = V12,
    mode: str = BULK,
    since: datetime | None = None,
    deviation: Deviation = STANDARD,
    faults: Faults | None = None,
) -> Path:
    """Write the bundle to `path` and return it: a zip if the name ends in `.zip`, else a folder, which is created.

    since: for `mode="delta"`, changes from this instant on (default: the start of the district). A delta shows people
    marked `tobedeleted`, but not people who vanished. faults: those of people and ids apply here too.
    """
    if mode not in (BULK, DELTA):
        raise ValueError("mode is bulk or delta")
    if mode == DELTA and since is None:
        since = datetime.fromisoformat(f"{district.start}T00:00:00+00:00")
    files = bundle_files(district, version, since if mode == DELTA else None, deviation, faults or Faults())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
            for name, content in files.items():
                package.writestr(name, content)
        return path
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def bundle_files(
    district: District, version: str, since: datetime | None, deviation: Deviation, faults: Faults
) -> dict[str, bytes]:
    """The files of a bundle by name."""
    with district.lock:
        cache = RevisionCache(district, faults)
        view = View(district, version, ROOT + ROOTS[version], faults, cache)
        columns = dict(columns_of(version))
        tables = {name: list(_rows_of(view, name, since)) for name in ORDER if name in columns}
        if deviation.roles_in_users and version == V12:
            legacy = View(district, V11, ROOT + ROOTS[V11], faults, cache)
            tables["users"], columns["users"] = list(_rows_of(legacy, "users", since)), columns_of(V11)["users"]
    extensions = sorted({name for row in tables["users"] for name in row if name.startswith(METADATA)})
    columns["users"] = (*columns["users"], *extensions)
    if deviation.no_roles_file or deviation.roles_in_users:
        tables.pop("roles", None)
    if deviation.status_filled and since is None:
        tables = {name: [row | {"status": "active"} for row in rows] for name, rows in tables.items()}
    for name in deviation.no_data_rows:
        tables[name] = []
    written = {name: rows for name, rows in tables.items() if rows or name in deviation.no_data_rows}
    files = {} if deviation.no_manifest else {"manifest.csv": _manifest(version, since, written, deviation)}
    for name, rows in written.items():
        if name not in deviation.missing:
            files[f"{(deviation.renamed or {}).get(name, name)}.csv"] = _table(name, columns[name], rows, deviation)
    if deviation.extra_files:
        files |= {"README.txt": b"Exported by the SIS.\n", "vendor_notes.csv": b"a,b\r\n1,2\r\n"}
    return {f"{deviation.below_folder}{name}": content for name, content in files.items()}


def _manifest(version: str, since: datetime | None, written: Iterable[str], deviation: Deviation) -> bytes:
    others = OTHER_FILES_11 if version == V11 else (*OTHER_FILES_12, "roles")
    state = BULK if since is None else DELTA
    named = dict.fromkeys((*columns_of(V11), *others), "absent") | dict.fromkeys(written, state)
    rows = [("manifest.version", "1.0"), ("oneroster.version", version)]
    rows += [(f"file.{name}", named[name]) for name in sorted(named)]
    rows += [("source.systemName", "Simulated SIS"), ("source.systemCode", "sim")]
    return _encoded([("propertyName", "value"), *rows], deviation)


def _table(name: str, columns: Sequence[str], rows: list[Row], deviation: Deviation) -> bytes:
    names = list(columns)
    if deviation.shuffled_columns:
        names = [*names[3:], *names[:3]]
    header = [_cased(column) if deviation.header_case else column for column in names]
    if name in deviation.wrong_header:
        header = ["id" if column.lower() == "sourcedid" else column for column in header]
    lines = [tuple(_cell(column, row.get(column, ""), deviation) for column in names) for row in rows]
    if deviation.extra_column:
        header.append("metadata.vendorNote")
        lines = [(*line, "x") for line in lines]
    return _encoded([tuple(header), *lines], deviation)


def _cell(column: str, text: str, deviation: Deviation) -> str:
    if not deviation.blanks_in_lists:
        return text
    if column in LISTS:
        return text.replace(",", " , ")
    return text or (" " if column in PADDED_EMPTY else "")


def _cased(column: str) -> str:
    return (column[0].upper() + column[1:]).replace("Id", "ID")


def _encoded(lines: Iterable[Sequence[str]], deviation: Deviation) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    content = text.getvalue().encode(deviation.encoding, "replace")
    return b"\xef\xbb\xbf" + content if deviation.bom else content


# rows


def _rows_of(view: View, name: str, since: datetime | None) -> Iterator[Row]:
    """The rows of one file as column -> text.

    With `since` only what changed from then on, including records marked `tobedeleted`. Without it (bulk) these are
    left out and status and date are blank, because a bulk file is the whole truth.
    """
    readers = {column: _reader(column) for column in columns_of(view.version)[name][len(BASE) :]}
    listing = ROUTES[("users" if name == "roles" else name,)].make(view, ())
    for record in map(listing.render, listing.positions):
        if since is None and record["status"] == "tobedeleted":
            continue
        if since is not None and datetime.fromisoformat(record["dateLastModified"]) < since:
            continue
        stamp = {column: "" if since is None else record[column] for column in ("status", "dateLastModified")}
        for entry in _role_rows(record) if name == "roles" else (record,):
            texts = {column: read(entry) for column, read in readers.items()}
            yield {"sourcedId": entry["sourcedId"], **stamp, **texts, **(_metadata(record) if name == "users" else {})}


def _role_rows(user: Record) -> Iterator[Record]:
    for number, entry in enumerate(user["roles"]):
        yield entry | {"sourcedId": f"{user['sourcedId']}.r{number + 1}", "user": user}


def _reader(column: str) -> Callable[[Record], str]:
    """How to read a column from an object: `orgSourcedIds` has the ids of `orgs`, `classSourcedId` that of `class`."""
    if column.endswith("SourcedIds"):
        references = f"{column.removesuffix('SourcedIds')}s"
        return lambda record: ",".join(ref["sourcedId"] for ref in record.get(references, ()))
    if column.endswith("SourcedId"):
        reference = column.removesuffix("SourcedId")
        return lambda record: record[reference]["sourcedId"] if record.get(reference) else ""
    if column == "userIds":
        return lambda record: ",".join(f"{{{n['type']}:{n['identifier']}}}" for n in record.get("userIds", ()))
    member = CSV_NAMES.get(column, column)
    if column == "grades":
        return lambda record: ",".join(record.get(member, ()))
    return lambda record: str(record.get(member, ""))


def _metadata(record: Record) -> Row:
    """One column per key, as the standard's extensions; true and false in lower case. The preferred names that 1.1 puts
    there in REST are left out, because CSV has no place for them in 1.1."""
    return {
        f"{METADATA}{name}": "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in record.get("metadata", {}).items()
        if not name.startswith("preferred")
    }
