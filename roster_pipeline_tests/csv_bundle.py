"""A district as a OneRoster CSV bundle, bulk or delta, as a zip or a folder.

The rows are made from the same objects that the REST side serves.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import ROOTS, V11, V12, Record
from roster_pipeline.simulator.sis import ROUTES
from roster_pipeline.simulator.view import RevisionCache, View

Row = dict[str, str]

BASE = ("sourcedId", "status", "dateLastModified")
_PERSON_NAMES = ("username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms", "phone")
_SHARED: dict[str, tuple[str, ...]] = {
    "orgs": (*BASE, "name", "type", "identifier", "parentSourcedId"),
    "enrollments": (
        *BASE, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate",
    ),
}  # fmt: skip
_USERS_11 = (*BASE, "enabledUser", "orgSourcedIds", "role", *_PERSON_NAMES, "agentSourcedIds", "grades", "password")
_USERS_12 = (
    *BASE, "enabledUser", *_PERSON_NAMES, "agentSourcedIds", "grades", "password", "userMasterIdentifier",
    "preferredGivenName", "preferredMiddleName", "preferredFamilyName", "primaryOrgSourcedId", "pronouns",
)  # fmt: skip
_ROLES = (
    *BASE, "userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId",
)  # fmt: skip
COLUMNS = {V11: {**_SHARED, "users": _USERS_11}, V12: {**_SHARED, "users": _USERS_12, "roles": _ROLES}}
"""The columns of each file, by version and file name without extension."""
CSV_NAMES = {"preferredGivenName": "preferredFirstName", "preferredFamilyName": "preferredLastName"}
"""The member of each column, if the names differ by more than a rule."""
METADATA = "metadata."
ROOT = "https://sis.example"
"""Any root URL for references; CSV holds only their ids."""
BULK, DELTA = "bulk", "delta"


def write_csv_bundle(
    district: District, path: Path, *, version: str = V12, mode: str = BULK, since: datetime | None = None
) -> Path:
    """Write the bundle to `path` and return it: a zip if the name ends in `.zip`, else a folder, which is created.

    since: for `mode="delta"`, changes from this instant on (default: the start of the district). A delta shows people
    marked `tobedeleted`, but not people who vanished.
    """
    if mode == DELTA and since is None:
        since = datetime.fromisoformat(f"{district.start}T00:00:00+00:00")
    files = bundle_files(district, version, since if mode == DELTA else None)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
            for name, content in files.items():
                package.writestr(name, content)
        return path
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def bundle_files(district: District, version: str, since: datetime | None) -> dict[str, bytes]:
    """The files of a bundle by name."""
    with district.lock:
        faults = Faults()
        view = View(district, version, ROOT + ROOTS[version], faults, RevisionCache(district, faults))
        tables = {name: list(_rows_of(view, name, since)) for name in COLUMNS[version]}
    columns = dict(COLUMNS[version])
    columns["users"] += tuple(sorted({name for row in tables["users"] for name in row if name.startswith(METADATA)}))
    modes = {name: (BULK if since is None else DELTA) if rows else "absent" for name, rows in tables.items()}
    manifest = [("propertyName", "value"), ("manifest.version", "1.0"), ("oneroster.version", version)]
    files = {"manifest.csv": _encoded([*manifest, *((f"file.{name}", mode) for name, mode in modes.items())])}
    for name, rows in tables.items():
        if rows:
            lines = [[row.get(column, "") for column in columns[name]] for row in rows]
            files[f"{name}.csv"] = _encoded([columns[name], *lines])
    return files


def _encoded(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode("utf-8", "replace")


def _rows_of(view: View, name: str, since: datetime | None) -> Iterator[Row]:
    """The rows of one file as column -> text.

    With `since` only what changed from then on, including records marked `tobedeleted`. Without it (bulk) these are
    left out and status and date are blank, because a bulk file is the whole truth.
    """
    readers = {column: _reader(column) for column in COLUMNS[view.version][name][len(BASE) :]}
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
    """A reader of a column from an object: `orgSourcedIds` has the ids of `orgs`, `classSourcedId` the id of
    `class`."""
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
