"""Small bundles for tests, written cell by cell."""

import csv
import io
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from roster_pipeline.oneroster import Proof, Wanted
from roster_pipeline.oneroster.bundle import BundleLimits, BundleSource, LastRead, pull_bundle, source_of

Rows = Sequence[Sequence[str]]
ORGS = ("sourcedId", "status", "dateLastModified", "name", "type", "identifier", "parentSourcedId")
USERS_11 = (
    *("sourcedId", "status", "dateLastModified", "enabledUser", "orgSourcedIds", "role", "username", "userIds"),
    *("givenName", "familyName", "middleName", "identifier", "email", "sms", "phone", "agentSourcedIds", "grades"),
    "password",
)
USERS_12 = tuple(name for name in USERS_11 if name not in ("orgSourcedIds", "role"))
ROLES = (
    *("sourcedId", "status", "dateLastModified", "userSourcedId", "roleType", "role", "beginDate", "endDate"),
    "orgSourcedId",
)
STUDENT = {
    "sourcedId": "stu-1",
    "enabledUser": "true",
    "orgSourcedIds": "sch-1",
    "role": "student",
    "username": "mira",
    "userIds": "{SIS:1042}",
    "givenName": "Mira",
    "familyName": "Oduya",
    "identifier": "1042",
    "email": "mira@pupils.example.org",
    "agentSourcedIds": "gdn-1,gdn-2",
    "grades": "07",
}
SCHOOL = {"sourcedId": "sch-1", "name": "Harbour Middle School", "type": "school", "identifier": "0300"}
ROLE = {"sourcedId": "r-1", "userSourcedId": "stu-1", "roleType": "primary", "role": "student", "orgSourcedId": "sch-1"}
SCHOOL_TOO = {"sourcedId": "sch-2", "name": "Hill School", "type": "school"}


def table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> bytes:
    """A CSV file, blanks where a row says nothing."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return text.getvalue().encode()


def manifest(version: str = "1.1", **modes: str) -> bytes:
    """A manifest; file=mode."""
    rows = [("manifest.version", "1.0"), ("oneroster.version", version)]
    rows += [(f"file.{name}", mode) for name, mode in modes.items()]
    return table(("propertyName", "value"), [{"propertyName": name, "value": value} for name, value in rows])


def bundle_11(*users: Mapping[str, str], mode: str = "bulk") -> dict[str, bytes]:
    """The files of a 1.1 bundle."""
    return {
        "manifest.csv": manifest("1.1", orgs=mode, users=mode, classes="absent"),
        "orgs.csv": table(ORGS, [SCHOOL]),
        "users.csv": table(USERS_11, users or [STUDENT]),
    }


def bundle_12(
    *users: Mapping[str, str], roles: Sequence[Mapping[str, str]] = (ROLE,), mode: str = "bulk", roles_mode: str = ""
) -> dict[str, bytes]:
    """The files of a 1.2 bundle."""
    return {
        "manifest.csv": manifest("1.2", orgs=mode, users=mode, roles=roles_mode or mode),
        "orgs.csv": table(ORGS, [SCHOOL]),
        "users.csv": table(USERS_12, users or [STUDENT]),
        "roles.csv": table(ROLES, roles),
    }


def as_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
        a_minute_ago = time.time() - 60
        os.utime(path / name, (a_minute_ago, a_minute_ago))
    return path


def as_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def pupil(number: int, **fields: str) -> dict[str, str]:
    return STUDENT | {"sourcedId": f"stu-{number}", "identifier": str(number), "email": ""} | fields


def put(path: Path, files: Mapping[str, bytes], at: datetime) -> None:
    """A zip, or a folder of files, written at this time."""
    moment = at.timestamp()
    if path.suffix == ".zip":
        path.parent.mkdir(exist_ok=True)
        os.utime(as_zip(path, files), (moment, moment))
        return
    as_folder(path, files)
    for name in files:
        os.utime(path / name, (moment, moment))


def people_of(
    source: BundleSource | Path, last: LastRead | None = None, now: datetime | None = None
) -> tuple[dict[str, Any], Proof]:
    """The people of a pull by id, and its proof."""
    if isinstance(source, Path):
        source = source_of(f"file://{source}", allow_private=True)
    pulled = pull_bundle(source, Wanted(contacts=True), last, now)
    users: dict[str, Any] = {}
    for batch in pulled:
        for one in batch.records if batch.kind == "user" else ():
            assert one["sourcedId"] not in users, "each id comes once"
            users[one["sourcedId"]] = one
    return users, pulled.proof


class Read:
    """Everything a pull of a bundle brought."""

    def __init__(
        self,
        path: Path | str,
        wanted: Wanted | None = None,
        limits: BundleLimits | None = None,
        metadata_keys: tuple[str, ...] = (),
    ) -> None:
        source = source_of(f"file://{path}", allow_private=True, limits=limits, metadata_keys=metadata_keys)
        pulled = pull_bundle(source, wanted or Wanted(contacts=True))
        self.orgs: list[dict[str, Any]] = []
        self.users: list[dict[str, Any]] = []
        self.rejects: list[dict[str, Any]] = []
        for batch in pulled:
            (self.orgs if batch.kind == "org" else self.users).extend(batch.records)
            self.rejects += batch.rejects
        self.proof: Proof = pulled.proof
        self.lost = pulled.lost

    @property
    def rules(self) -> list[str]:
        return [reject["rule"] for reject in self.rejects]

    def user(self, sourced_id: str) -> dict[str, Any]:
        return next(user for user in self.users if user["sourcedId"] == sourced_id)


def read(path: Path, files: Mapping[str, bytes], **more: Any) -> Read:
    """Write the files as a folder and read them."""
    return Read(as_folder(path, files), **more)
