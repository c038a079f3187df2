"""Nights in which nothing happens in the SIS, and between them one change: of somebody, a setting, a decision, the day.

In such nights plans are taken over. Every plan is made once more from everybody, and the two are compared.
`ROSTER_PROOF=long`, or a number of histories, runs more of them, other ones each time.
"""

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection

from roster_pipeline.directory import (
    duplicate_pairs,
    lasting_decisions,
    manual_edits,
    operations,
    tenant_changes,
    tenants,
)
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.services import possible_duplicates
from roster_pipeline.settings.school import DistrictSettings
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline.sync import clean_snapshot, fetch_snapshot, plan_and_apply, source_age
from roster_pipeline_tests.directory.builders import Decision, roll_back
from roster_pipeline_tests.district import CLIENT, EVERYTHING, SECRET, change_school, simulated
from roster_pipeline_tests.invariants.histories import assert_happened, histories
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sync_district import PAGE, PREFIXES, Place, Site
from roster_pipeline_tests.settled_plans import TAKEN_OVER, plan_and_compare

EXAMPLES = histories(1, 20)
TOLD = Decision(who="owner", reason="asked for it")
MEMBERS = """
select p.id, m.role, m.status, s.key as school, array(
    select l.sourced_id from link l where l.person_id = p.id and l.connection_id = s.connection_id order by 1
) as records
from person p join membership m on m.person_id = p.id join school s on s.id = m.school_id
where p.district_id = :district order by p.id, s.key
"""
LAST_SYNC = """
select max(y.id) as id from sync y join school s on s.id = y.school_id
where s.district_id = :district and y.kind = 'sync' and exists (select from change_log l where l.sync_id = y.id)
"""
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "auto update": [{"students": EVERYTHING | {"auto_update": on}} for on in (False, True)],
    "archive": [{"students": EVERYTHING | {"archive": on}} for on in (False, True)],
    "role": [{"teachers": EVERYTHING | {"rostered": on}} for on in (False, True)],
    "contacts": [{"primary_contacts": on} for on in (False, True)],
    "several contacts": [{"contacts_most": most} for most in (3, 1)],
    "preferred names": [{"preferred_names": on} for on in (True, False)],
    "region": [{"phone_region": region} for region in ("DE", "US")],
    "restore": [{"restore_archived_by_hand": on} for on in (True, False)],
    "limits": [{"guards": {"archive_share": share}} for share in (0.5, 0.01)],
    "recipients": [{"report_to": mails} for mails in (["office@school.example"], [])],
}
CHANGES: dict[str, tuple[str, ...]] = {
    "in_the_sis": ("rename", "leave", "come back", "join", "move", "contact", "spelling"),
    "setting": tuple(SETTINGS),
    "of_district": ("ranking", "trust", "disabled"),
    "by_hand": (
        "archive", "restore", "exclude", "include", "lock", "edit", "add", "unlink", "merge", "distinct", "erase",
    ),
    "in_time": ("announce", "withdraw", "next day", "next week", "undone"),
}  # fmt: skip
seen = Counter[str]()


class Later(datetime):
    """The clock of the pipeline, some days ahead."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.ahead


class QuietNights:
    """Two schools of one connection, and a school of a second connection to the same SIS. plans: grows with each
    plan."""

    def __init__(self, database: Database, site: Site, plans: list[int]) -> None:
        Later.ahead = timedelta()
        self.database, self.plans, self.people = database, plans, site.sises[0].district
        self.people.reset()
        self.place = Place(database, site, 0)
        other = f"{self.place.key}-other"
        self.connections = (self.place.connection, other)
        self.place.add_connection(other, simulated(site.base_url + PREFIXES[0], page_size=PAGE))
        for key in self.connections:
            self.place.set_connection(key, controlled_by="district")
        self.schools = [self.place.add(SchoolRules(one)) for one in ("sch-1", "sch-2")]
        self.schools.append(self.place.add_school(f"{other}-school", "sch-1", connection=other))
        for _ in range(3):
            self.night("begin")

    def night(self, after: str) -> None:
        """A night of every school. after: what changed before."""
        for school in self.schools:
            self.place.sync_school(school)
            taken = self.plans[-1] == TAKEN_OVER
            seen.update({"taken over": taken, "made": not taken, f"taken over after {after}": taken})

    def in_the_sis(self, what: str, pick: int) -> None:
        """Somebody changes in the SIS."""
        students = [one for one in self.people.people() if one.roles and one.roles[0].role == "student"]
        one, school = students[pick % len(students)], ("sch-1", "sch-2")[pick % 2]
        if what == "rename":
            self.people.rename(one.sourced_id)
        elif what == "leave":
            self.people.remove(one.sourced_id)
        elif what == "come back" and self.people.left():
            self.people.restore(self.people.left()[0])
        elif what == "join":
            self.people.add("student", school, grades=one.grades)
        elif what == "move":
            self.people.move(one.sourced_id, school)
        elif what == "contact":
            self.people.edit(one.sourced_id, agents=students[pick // 2 % len(students)].agents)
        elif what == "spelling":
            self.people.edit(one.sourced_id, email=(one.email or "").swapcase())

    def setting(self, what: str, pick: int) -> None:
        """An owner changes a setting of one school, or sets it back."""
        changes = SETTINGS[what]
        change_school(self.database, self.schools[pick % len(self.schools)], **changes[pick // 3 % len(changes)])

    def of_district(self, what: str, pick: int) -> None:
        """A manager changes a setting of the district or of a connection."""
        key = self.connections[pick % 2]
        if what == "ranking":
            with self.database.begin() as conn:
                ranking = DistrictSettings(connection_ranking=[key] if pick % 3 else [])
                tenant_changes.set_district(conn, self.place.key, ranking)
        elif what == "trust":
            self.place.set_connection(key, controlled_by=("district", "school")[pick // 2 % 2])
        else:
            self.place.set_connection(key, disabled_means_gone=bool(pick // 2 % 2))

    def by_hand(self, what: str, pick: int) -> None:
        """Somebody decides about one person."""
        status = "archived" if what == "restore" else "active"
        members = [one for one in self.place.rows(MEMBERS) if one["status"] == status and one["records"]]
        if members:
            with self.database.begin() as conn:
                self._decide(conn, what, members[pick % len(members)], members[pick // 3 % len(members)])

    def _decide(self, conn: Connection, what: str, one: dict[str, Any], other: dict[str, Any]) -> None:
        district, who, school = self.place.district_id, int(one["id"]), tenants.get_school(conn, one["school"])
        if what in ("archive", "restore"):
            manual_edits.set_archived(conn, school, who, what == "archive", **TOLD)
        elif what in ("exclude", "include"):
            manual_edits.set_excluded(conn, district, who, what == "exclude", **TOLD)
        elif what == "lock":
            manual_edits.set_lock(conn, district, who, "family_name", bool(who % 2), **TOLD)
        elif what == "edit":
            manual_edits.edit(conn, district, who, {"phone": "+12025550143"}, **TOLD, lock_fields=bool(who % 2))
        elif what == "add":
            manual_edits.add(conn, school, {"given_name": "Ann", "family_name": "Lee", "role": one["role"]}, **TOLD)
        elif what == "unlink":
            manual_edits.unlink(conn, school.connection, who, one["records"][0], **TOLD)
        elif what == "erase":
            operations.erase(conn, district, who, **TOLD)
        elif what == "distinct" and who != other["id"]:
            duplicate_pairs.set_distinct(conn, district, who, int(other["id"]), True, **TOLD)
        elif what == "merge":
            typed = {"given_name": "Ann", "family_name": "Lee", "role": one["role"]}
            again = manual_edits.add(conn, school, typed, **TOLD)
            manual_edits.edit(conn, district, again, self._names(who), **TOLD, lock_fields=False)
            possible_duplicates.merge(conn, district, who, again, **TOLD)

    def _names(self, who: int) -> dict[str, Any]:
        (names,) = self.place.rows("select given_name, family_name from person where id = :who", who=who)
        return names

    def in_time(self, what: str, pick: int) -> None:
        """Days pass, somebody announces a leaver or takes that back, or the newest sync with changes is undone."""
        if what.startswith("next"):
            Later.ahead += timedelta(days=1 if what == "next day" else 7)
            return
        active = [one for one in self.place.rows(MEMBERS) if one["status"] == "active"]
        one = active[pick % len(active)]
        with self.database.begin() as conn:
            school = tenants.get_school(conn, one["school"])
            if what == "withdraw":
                lasting_decisions.withdraw_leavers(conn, school, None, "owner")
            elif what == "announce":
                day = Later.now(UTC).date() + timedelta(days=pick % 4 - 1)
                lasting_decisions.announce_leavers(conn, school, [one["id"]], day, "owner", "they said so")
        if what == "undone":
            self._undo(self.place.rows(LAST_SYNC)[0]["id"])

    def _undo(self, sync_id: int) -> None:
        try:
            roll_back(self.database, sync_id, **TOLD)
        except DirectoryError:
            seen["undone before"] += 1


@pytest.fixture
def quiet_site(home: Path) -> Iterator[Site]:
    """A SIS of two small schools with contacts."""
    people = generate_district(3, schools=2, students_per_school=8)
    sis = Sis(people, prefix=PREFIXES[0], credentials={CLIENT: SECRET}, versions=("1.2",))
    with running(create_site([sis])) as base_url:
        yield Site(base_url, (sis, sis))


@pytest.mark.timeout(0)
def test_a_plan_that_is_taken_over_is_the_plan_that_would_be_made(
    database: Database, quiet_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (clean_snapshot, fetch_snapshot, plan_and_apply, source_age):
        monkeypatch.setattr(module, "datetime", Later)
    plans = plan_and_compare(monkeypatch)
    seen.clear()
    for seed in range(EXAMPLES):
        picked = Random(seed if "ROSTER_PROOF" not in os.environ else None)
        nights = QuietNights(database, quiet_site, plans)
        changes = [(kind, what) for kind, some in CHANGES.items() for what in some]
        picked.shuffle(changes)
        for kind, what in changes[: len(changes) // 3]:
            getattr(nights, kind)(what, picked.randrange(10**4))
            nights.night(what)
            nights.night("nothing")
    assert_happened(seen, {"taken over after nothing", "taken over after next day", "made"})
    assert seen["taken over"] * 4 > seen["made"]
