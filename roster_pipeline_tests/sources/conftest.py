"""A small SIS whose every cell a test can write, over REST or as a CSV bundle, and syncs of a school from it."""

from __future__ import annotations

import csv
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pytest
from cryptography.fernet import Fernet
from sqlalchemy.engine import URL
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roster_pipeline.directory.database import Database
from roster_pipeline.settings.school import ConnectionSettings
from roster_pipeline.simulator import running
from roster_pipeline.sync.connection_checks import check_connection
from roster_pipeline_tests.district import AnyDistrict, Begun, District
from roster_pipeline_tests.postgres import as_text, copy_of

Kind = Literal["csv", "rest"]
Record = dict[str, Any]
_numbers = count(1)
ROOT = "/ims/oneroster/v1p1"
DISTRICT = {"sourcedId": "d1", "name": "Wexbury District", "type": "district"}
ALDER = {"sourcedId": "s1", "name": "Alder School", "type": "school", "identifier": "101", "parentSourcedId": "d1"}
BIRCH = {"sourcedId": "s2", "name": "Birch School", "type": "school", "identifier": "102", "parentSourcedId": "d1"}
ORGS = (DISTRICT, ALDER, BIRCH)
USERS = (
    *("sourcedId", "status", "dateLastModified", "enabledUser", "orgSourcedIds", "role", "username", "userIds"),
    *("givenName", "familyName", "middleName", "identifier", "email", "sms", "phone", "agentSourcedIds", "grades"),
    *("password", "primaryOrgSourcedId"),
)
ENROLLMENTS = ("sourcedId", "status", "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "endDate")
ORG_COLUMNS = ("sourcedId", "status", "dateLastModified", "name", "type", "identifier", "parentSourcedId")
_GIVEN = ("Ada", "Ben", "Cleo", "Dov", "Elif", "Finn", "Gita", "Hal", "Ines", "Jon", "Kaya", "Leo", "Mina", "Nils")
_FAMILY = ("Arden", "Holm", "Oake", "Bloom", "Iver", "Penn", "Corda", "Jarl", "Quay", "Dale", "Kerr")


def pupil(place: int, orgs: Any = "s1", **members: Any) -> Record:
    """The n-th pupil of every test."""
    return person(f"st{place}", orgs, place, **{"role": "student", "grades": "09"} | members)


def teacher(place: int, orgs: Any = "s1", **members: Any) -> Record:
    """The n-th teacher of every test."""
    return person(f"te{place}", orgs, 100 + place, **{"role": "teacher"} | members)


def person(sourced_id: str, orgs: Any, place: int, **members: Any) -> Record:
    """Somebody with unique names, number and e-mail."""
    return {
        "sourcedId": sourced_id,
        "enabledUser": "true",
        "orgSourcedIds": orgs,
        "username": sourced_id,
        "givenName": f"{_GIVEN[place % len(_GIVEN)]}{_letter(place)}",
        "familyName": f"{_FAMILY[place % len(_FAMILY)]}{_letter(place)}",
        "identifier": str(9000 + place),
        "email": f"{sourced_id}@wexbury.example",
    } | members


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A CSV file; lists become texts with commas."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(column) or "" for column in columns]
        writer.writerow([",".join(cell) if isinstance(cell, list) else cell for cell in cells])
    return written.getvalue()


def manifest(version: str = "1.1", **modes: str) -> str:
    """A manifest, file=mode."""
    named = {"orgs": "bulk", "users": "bulk"} | modes
    rows = [("manifest.version", "1.0"), ("oneroster.version", version)]
    rows += [(f"file.{name}", mode) for name, mode in named.items()]
    return table(("propertyName", "value"), [{"propertyName": name, "value": value} for name, value in rows])


class Source:
    """One SIS. `users` and `orgs` have the columns of CSV; over REST a text stays the same text."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self.users: list[Record] = []
        self.orgs: Sequence[Record] = ORGS
        self.single: list[Record] | None = None
        self.enrollments: list[Record] | None = None
        self.classes: list[Record] | None = None
        self.asked: list[str] = []
        self.names = {
            "orgSourcedIds": "orgs",
            "primaryOrgSourcedId": "primaryOrg",
            "agentSourcedIds": "agents",
            "parentSourcedId": "parent",
        }
        """The names of the members over REST."""
        self.files: dict[str, str | None] = {}
        """CSV files that a test writes itself; None leaves a file out."""
        self.zips: dict[str, tuple[list[Record], list[Record] | None]] = {}
        """Users and enrollments of several zips, in place of one unpacked bundle."""
        self._folder = folder
        self.url = f"file://{folder}"

    def write(self) -> None:
        """Export CSV files to the disk. Over REST, every request gets the current values."""
        if self.kind == "rest":
            return
        self._folder.mkdir(exist_ok=True)
        for old in self._folder.iterdir():
            old.unlink()
        now = time.time() + next(_numbers) - 10_000
        for name, (users, enrollments) in self.zips.items():
            with zipfile.ZipFile(self._folder / name, "w") as packed:
                for inside, content in self._exported(users, enrollments).items():
                    packed.writestr(inside, content)
            os.utime(self._folder / name, (now, now))
        loose = {} if self.zips else self._exported(self.users, self.enrollments)
        for name, content in loose.items():
            (self._folder / name).write_text(content, newline="")
            os.utime(self._folder / name, (now, now))

    def _exported(self, users: list[Record], enrollments: list[Record] | None) -> dict[str, str]:
        """The files of one bundle."""
        files: dict[str, str | None] = {
            "manifest.csv": manifest(),
            "orgs.csv": table(ORG_COLUMNS, self.orgs),
            "users.csv": table(USERS, users),
        }
        if enrollments is not None:
            renamed = {"user": "userSourcedId", "school": "schoolSourcedId"}
            rows = [{renamed.get(name, name): value for name, value in one.items()} for one in enrollments]
            files["manifest.csv"] = manifest(enrollments="bulk")
            files["enrollments.csv"] = table(ENROLLMENTS, rows)
        chosen = files | self.files
        return {name: content for name, content in chosen.items() if content is not None}

    def answer(self, path: str, query: Mapping[str, str]) -> Response:
        """One request over REST."""
        self.asked.append(path)
        limit, offset = int(query.get("limit", 100)), int(query.get("offset", 0))
        if path.startswith("/users/"):
            among = self.users if self.single is None else self.single
            found = next((one for one in among if one["sourcedId"] == path.removeprefix("/users/")), None)
            return JSONResponse({"user": self._named(found)}) if found else Response(status_code=404)
        lists = {"/orgs": self.orgs, "/users": self.users, "/enrollments": self.enrollments, "/classes": self.classes}
        if query.get("filter") or lists.get(path) is None:
            return Response(status_code=404)
        records = [self._named(one) for one in lists[path] or ()]
        body = {path[1:]: records[offset : offset + limit]}
        written = json.dumps(body)  # in ASCII, so that a text may hold half a character
        return Response(written, media_type="application/json", headers={"X-Total-Count": str(len(records))})

    def _named(self, record: Mapping[str, Any]) -> Record:
        return {self.names.get(name, name): value for name, value in record.items() if value not in ("", None)}


class School(District):
    """One school on a source; `sync` is one whole sync. number: distinguishes several such schools in one database."""

    def __init__(self, database: Database, source: Source, number: str = "") -> None:
        self.source, self.school = source, f"alder{number}"
        settings = ConnectionSettings(
            url=source.url, sign_in="auto", allow_private_addresses=True, page_size=50, client_id=""
        )
        super().__init__(database, settings, key=f"wexbury{number}", connection=f"sis{number}", secret="")
        self.add_school(self.school, "s1", primary_contacts=True)

    def choose(self, **settings: Any) -> None:
        """Change settings of the school."""
        self.set_school(self.school, **settings)

    @classmethod
    def begun(cls, database: Database, source: Source, users: list[Record] | None = None) -> School:
        """A school after its first sync. users: the people of the SIS, unless they are set already."""
        if users is not None:
            source.users = users
        school = cls(database, source)
        school.sync()
        return school

    def sync(self) -> dict[str, str]:
        """One sync. Returns the reason of each row of the plan, by its first sourcedId."""
        self.source.write()
        self.sync_school(self.school)
        rows = self.rows(
            "select sourced_ids[1] as one, reason from plan_line where plan_id = (select max(id) from plan) order by 1"
        )
        return {str(row["one"]): str(row["reason"]) for row in rows}

    @property
    def present(self) -> set[str]:
        """The sourcedIds of the active members."""
        query = "select l.sourced_id from link l join membership m using (person_id) where m.status = 'active'"
        return {str(row["sourced_id"]) for row in self.rows(query)}

    @property
    def proof(self) -> Record:
        """The proof of the newest pull."""
        found: Record = self.rows("select proof from pull order by id desc limit 1")[0]["proof"]
        return found

    @property
    def guards(self) -> set[str]:
        """The guards that hold something of the newest plan."""
        query = (
            "select distinct f ->> 'guard' as guard from verdict v "
            "cross join lateral jsonb_array_elements(v.findings) f where v.plan_id = (select max(id) from plan)"
        )
        return {str(row["guard"]) for row in self.rows(query)}

    def tested(self) -> dict[str, tuple[bool | None, str]]:
        """The results of Test Your Information, by item."""
        self.source.write()
        return {item["name"]: (item["ok"], item["detail"]) for item in check_connection(self.database, self.school)}


@pytest.fixture(params=["csv", "rest"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """The same SIS over either way."""
    yield from served(Source(request.param, tmp_path / "exports"))


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Source]:
    """A SIS with an API."""
    yield from served(Source("rest", tmp_path))


@pytest.fixture
def bundle(tmp_path: Path) -> Source:
    """A SIS that exports CSV."""
    return Source("csv", tmp_path / "exports")


@pytest.fixture(autouse=True, scope="module")
def key() -> Iterator[None]:
    """The key that encrypts Client Secrets."""
    with mock.patch.dict(os.environ, {"ROSTER_SECRET_KEY": Fernet.generate_key().decode()}):
        yield


@contextmanager
def begun_once(
    template: URL, source: Source, live: Callable[[Database, Source], AnyDistrict]
) -> Iterator[Begun[AnyDistrict]]:
    """A school whose past is the same in several tests of a module. live: makes it and lets its nights pass."""
    with copy_of(template) as url, contextmanager(served)(source):
        yield Begun(live(Database(as_text(url)), source), source)


def served(source: Source) -> Iterator[Source]:
    if source.kind == "csv":
        yield source
        return

    async def reply(request: Request) -> Response:
        path = request.scope["path"]
        if not path.startswith(ROOT):
            return Response(status_code=404)
        return source.answer(path.removeprefix(ROOT), request.query_params)

    with running(Starlette(routes=[Route("/{path:path}", reply, methods=["GET"])])) as base:
        source.url = base + ROOT
        yield source


def _letter(place: int) -> str:
    return chr(ord("a") + place % 26) + chr(ord("a") + place // 26)
