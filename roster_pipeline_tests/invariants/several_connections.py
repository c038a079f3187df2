"""One district of three schools, each with its own SIS and connection, over HTTP or as files."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.fernet import Fernet
from sqlalchemy.engine import URL

from roster_pipeline.directory import accounts, tenants
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.services.school_changes import change_district
from roster_pipeline.services.settings_changes import change_connection
from roster_pipeline.settings.school import ConnectionSettings, DistrictSettings, Guards
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.district import CLIENT, SECRET, Begun, District, simulated
from roster_pipeline_tests.postgres import as_text, copy_of

KEYS = ("main", "east", "west")


class SeveralConnections(District):
    """One district of three schools, each with its own SIS; `csv`: those that are read as files."""

    def __init__(
        self, database: Database, base_url: str, folder: Path, sises: dict[str, Sis], csv: frozenset[str], own: int
    ) -> None:
        def settings(key: str) -> ConnectionSettings:
            files: dict[str, Any] = {"url": f"file://{folder / key}", "token_url": None} if key in csv else {}
            return simulated(f"{base_url}/{key}", page_size=own, **files)

        self.folder, self.sises, self.csv, self.own, self.nights = folder, sises, csv, own, 0
        super().__init__(database, settings(KEYS[0]), key="valley", connection=KEYS[0])
        for key in KEYS[1:]:
            self.add_connection(key, settings(key))

    def deliver(self, key: str, sourced_id: str, role: str = "student", **fields: Any) -> None:
        """A SIS has a record from now on, with exactly these values."""
        empty = {"email": "", "phone": "", "username": "", "identifier": "", "state_id": "", "grades": (), "agents": ()}
        self.sises[key].district.add(role, "sch-1", sourced_id=sourced_id, **empty | fields)

    def begin(self, key: str) -> None:
        """The first night of a school, with the people of its own."""
        for number in range(self.own):
            name = {"given_name": f"{key}{number}".title(), "family_name": key.title(), "identifier": f"1{number}"}
            self.deliver(key, f"{key}-own{number}", "teacher" if number == 1 else "student", **name)
        self.night(key)

    def night(self, key: str) -> SyncResult:
        """One night of a school."""
        self.nights += 1
        if key in self.csv:
            at = (datetime.now(UTC) - timedelta(days=1) + timedelta(minutes=self.nights)).timestamp()
            for file in write_csv_bundle(self.sises[key].district, self.folder / key).iterdir():
                os.utime(file, (at, at))
        return self.sync_school(key)

    def control(self, key: str, whose: str) -> None:
        """A manager says who may change a connection."""
        with self.database.begin() as conn:
            settings = tenants.get_connection(conn, key).settings.model_copy(update={"controlled_by": whose})
            change_connection(conn, key, who="manager", settings=settings)

    def rank(self, *order: str) -> None:
        """The manager ranks these connections."""
        with self.database.begin() as conn:
            change_district(conn, self.key, DistrictSettings(connection_ranking=list(order)), who="manager")

    def everybody(self) -> list[dict[str, Any]]:
        """Everybody: fields, records with the primary one first, and the schools where they are active."""
        return self.rows(
            "select p.id, p.given_name, p.family_name, p.email, p.phone, p.username, p.number, "
            "(select array_agg(l.sourced_id order by l.is_primary desc, l.sourced_id) from link l "
            "where l.person_id = p.id) as links, "
            "(select array_agg(s.key order by s.key) from membership m join school s on s.id = m.school_id "
            "where m.person_id = p.id and m.status = 'active') as schools from person p order by p.id"
        )

    def of(self, sourced_id: str) -> dict[str, Any]:
        """The person of a record."""
        (found,) = [one for one in self.everybody() if sourced_id in (one["links"] or ())]
        return found

    def reasons(self, key: str) -> list[str]:
        """The reasons in the newest plan of a school, without plain changes and unchanged people."""
        rows = self.rows(
            "select r.reason from plan_row r join plan p on p.id = r.plan_id join school s on s.id = p.school_id "
            "where s.key = :key and p.state = 'planned' and r.action in ('conflict', 'skip') order by r.row",
            key=key,
        )
        return [row["reason"] for row in rows]


@contextmanager
def several_connections(
    database: Database,
    folder: Path,
    csv: frozenset[str] = frozenset(),
    guards: Guards | None = None,
    own: int = 2,
    begun: tuple[str, ...] = KEYS,
) -> Iterator[SeveralConnections]:
    """The district; each school has this many people of its own, pupils and one teacher, from its first night on.

    csv: the connections that read files. begun: the schools that had their first night. `main` is the district's, the
    others are their schools'.
    """
    sises = {}
    for key in KEYS:
        people = generate_district(1, schools=1, students_per_school=0, contacts=False)
        sises[key] = Sis(people, prefix=f"/{key}", credentials={CLIENT: SECRET}, versions=("1.2",))
        for row in range(len(people)):
            people.vanish(row)
    with running(create_site(list(sises.values()))) as base_url:
        made = SeveralConnections(database, base_url, folder, sises, csv, own)
        for key in KEYS:
            mail: dict[str, Any] = {"report_to": [f"{key}@valley.example"], "report_when": "problems"}
            made.add_school(key, connection=key, guards=guards or Guards(), **mail)
        with database.begin() as conn:
            accounts.grant(conn, "manager@valley.example", Place(district_id=made.district_id), by="test")
        made.control("main", "district")
        for key in begun:
            made.begin(key)
        yield made


@contextmanager
def begun_once(
    template: URL, folder: Path, csv: frozenset[str] = frozenset(), follows: Callable[[SeveralConnections], object] = id
) -> Iterator[Begun[SeveralConnections]]:
    """The district after the first nights of `main` and `east`, for all tests of a module. follows: what else happened
    before they begin."""
    environment = {"ROSTER_SECRET_KEY": Fernet.generate_key().decode(), "ROSTER_HOME": str(folder)}
    with copy_of(template) as url, mock.patch.dict(os.environ, environment):
        database = Database(as_text(url))
        with several_connections(database, folder, csv, begun=("main", "east")) as made:
            follows(made)
            yield Begun(made, *(sis.district for sis in made.sises.values()))
