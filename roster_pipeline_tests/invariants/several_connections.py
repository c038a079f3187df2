"""One district of three schools, each with a SIS and a connection of its own, over HTTP or as files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from roster_pipeline import sync
from roster_pipeline.directory import accounts, tenants
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.services.settings_changes import change_connection
from roster_pipeline.settings.school import ConnectionSettings, Guards, RoleSettings, SchoolSettings
from roster_pipeline.simulator import SimulatorThread, Sis, create_site, generate_district
from roster_pipeline.simulator.csv_bundle import write_csv_bundle
from roster_pipeline.sync.plan_and_apply import Applied
from roster_pipeline_tests.invariants.sync_district import CLIENT, ROOT, SECRET

KEYS = ("main", "east", "west")
EVERYTHING = RoleSettings(rostered=True, auto_update=True, archive=True)


@dataclass
class SeveralConnections:
    """One district of three schools, each with a SIS of its own; `csv`: those that are read as files."""

    database: Database
    folder: Path
    sises: dict[str, Sis]
    csv: frozenset[str]
    nights: int = 0

    def deliver(self, key: str, sourced_id: str, role: str = "student", **fields: Any) -> None:
        """A SIS has a record from now on; nothing that is not given is filled in."""
        empty = {"email": "", "phone": "", "username": "", "identifier": "", "state_id": "", "grades": (), "agents": ()}
        self.sises[key].district.add(role, "sch-1", sourced_id=sourced_id, **empty | fields)

    def night(self, key: str) -> Applied:
        """One night of a school."""
        self.nights += 1
        if key in self.csv:
            at = (datetime.now(UTC) - timedelta(days=1) + timedelta(minutes=self.nights)).timestamp()
            for file in write_csv_bundle(self.sises[key].district, self.folder / key).iterdir():
                os.utime(file, (at, at))
        sync.fetch(self.database, key, batch=f"night {self.nights}", run_id=None)
        sync.clean_latest(self.database, key, run_id=None)
        sync.plan_latest(self.database, key, run_id=None)
        return sync.apply_latest(self.database, key, run_id=None, who="test")

    def control(self, key: str, whose: str) -> None:
        """A manager says who may change a connection."""
        with self.database.begin() as conn:
            settings = tenants.get_connection(conn, key).settings.model_copy(update={"controlled_by": whose})
            change_connection(conn, key, who="manager", settings=settings)

    def rows(self, query: str, **given: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.database.begin() as conn:
            return [dict(row) for row in conn.execute(text(query), given).mappings()]

    def people(self) -> list[dict[str, Any]]:
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
        (found,) = [one for one in self.people() if sourced_id in (one["links"] or ())]
        return found

    def reasons(self, key: str) -> list[str]:
        """What the newest plan of a school says of those it does not simply change or leave as they are."""
        rows = self.rows(
            "select r.reason from plan_row r join plan p on p.id = r.plan_id join school s on s.id = p.school_id "
            "where s.key = :key and p.state = 'planned' and r.action in ('conflict', 'skip') order by r.row",
            key=key,
        )
        return [row["reason"] for row in rows]


@contextmanager
def several_connections(
    database: Database, folder: Path, csv: frozenset[str] = frozenset(), guards: Guards | None = None, own: int = 2
) -> Iterator[SeveralConnections]:
    """The district; each school has so many people of its own, pupils and one teacher, and had its first night.

    csv: the connections that read files. `main` is the district's, the others are their schools'.
    """
    sises = {}
    for key in KEYS:
        people = generate_district(1, schools=1, students_per_school=0, contacts=False)
        sises[key] = Sis(people, prefix=f"/{key}", credentials={CLIENT: SECRET}, versions=("1.2",))
        for row in range(len(people)):
            people.vanish(row)
    server = SimulatorThread(create_site(list(sises.values()))).start()
    made = SeveralConnections(database, folder, sises, csv)
    with database.begin() as conn:
        district = tenants.add_district(conn, "valley", "Valley")
        for key in KEYS:
            url = f"file://{folder / key}" if key in csv else f"{server.base_url}/{key}{ROOT}"
            token = None if key in csv else f"{server.base_url}/{key}/oauth/token"
            settings = ConnectionSettings(
                url=url, client_id=CLIENT, token_url=token, allow_private_addresses=True, page_size=own
            )
            tenants.add_connection(conn, "valley", key, settings, seal(SECRET))
            roles = dict.fromkeys(("students", "teachers", "staff", "admins"), EVERYTHING)
            chosen = SchoolSettings(
                school_id="sch-1",
                first_sync="apply",
                guards=guards or Guards(),
                report_to=[f"{key}@valley.example"],
                report_when="problems",
                **roles,
            )
            tenants.add_school(conn, key, key, key.title(), chosen)
        accounts.grant(conn, "manager@valley.example", Place(district_id=district.id), by="test")
    made.control("main", "district")
    try:
        for key in KEYS:
            for number in range(own):
                name = {"given_name": f"{key}{number}".title(), "family_name": key.title(), "identifier": f"1{number}"}
                made.deliver(key, f"{key}-own{number}", "teacher" if number == 1 else "student", **name)
            made.night(key)
        yield made
    finally:
        server.stop()
