"""Several schools that know one person, in turns: if nothing changes in the SIS, the second round changes nothing.

People have roles in several schools of two connections, and often two records; the schools have different settings. If
two schools read a value differently, one must decide, or it would change every night.
"""

from random import Random
from typing import Any

import pytest

from roster_pipeline.directory import tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.settings.school import Guards, RoleSettings, SchoolSettings
from roster_pipeline.simulator import Role
from roster_pipeline_tests.district import simulated
from roster_pipeline_tests.invariants.histories import histories
from roster_pipeline_tests.invariants.sync_district import PREFIXES, Place, Site

USUAL = 2
FOUND = (526248068,)
"""Histories in which a school once took the names of a person away."""
HISTORIES = histories(USUAL, 200)
HUMANS = 14
ORGS = ("sch-1", "sch-2")
SCHOOLS = (("one", "sch-1"), ("one", "sch-2"), ("two", "sch-1"))
"""Connection and School ID."""
ROLES = ("student", "student", "student", "teacher", "aide", "siteAdministrator", "ext:coach", "parent")
SOURCES = ("identifier", "identifier", "username", "userMasterIdentifier")
PHONES = ("(212) 555-0123", "+49 30 901820", "030 901820", "020 7946 0018", "")
CALM: dict[str, Any] = dict.fromkeys(
    ("missing_share", "strangers_share", "lower_grades_share", "rekeyed_share", "shrink_share", "archive_share",
     "slow_loss_share", "create_share", "restore_share", "update_share", "update_key_share", "rejected_share_archive",
     "rejected_share_all", "unknown_org_share"), 1,
) | {"moved_keys": 1000}  # fmt: skip
CHANGED = """
select s.key, r.reason, r.person_id, r.changes from plan_row r join plan p on p.id = r.plan_id
join school s on s.id = p.school_id
where p.id in (select max(p.id) from plan p where p.district_id = :district group by p.school_id)
  and (r.action in ('create', 'update', 'restore', 'archive'))
"""


class Turns(Place):
    """One district of two connections and three schools with random settings and people."""

    def __init__(self, database: Database, site: Site, draw: Random) -> None:
        self.draw, self.sises = draw, dict(zip(("one", "two"), site.sises, strict=True))
        super().__init__(database, site, 0)
        for sis in site.sises:
            sis.reset()
            for row in range(len(sis.district)):
                sis.district.vanish(row)
        second = simulated(site.base_url + PREFIXES[1])
        self.connections = {"one": self.connection, "two": f"{self.connection}-two"}
        self.add_connection(self.connections["two"], second)
        for key in self.connections.values():
            sources = {name: draw.choice(SOURCES) for name in ("student_number_from", "staff_number_from")}
            self.set_connection(key, controlled_by=draw.choice(("school", "district")), **sources)
        for number in range(HUMANS):
            self._add_human(number)

    def add_schools(self) -> list[str]:
        """Add the schools; returns their keys."""
        keys = []
        with self.database.begin() as conn:
            for connection, school_id in SCHOOLS:
                key = f"{self.key}-{connection}-{school_id}"
                tenant_changes.add_school(conn, self.connections[connection], key, key, self._settings(school_id))
                keys.append(key)
        return keys

    def _settings(self, school_id: str) -> SchoolSettings:
        draw = self.draw
        roles: dict[str, Any] = {
            name: RoleSettings(
                rostered=draw.random() < 0.9, auto_update=draw.random() < 0.8, archive=draw.random() < 0.7
            )
            for name in ("students", "teachers", "staff", "admins")
        }
        coach = draw.choice((None, None, "staff", "student", "contact"))
        return SchoolSettings(
            school_id=school_id,
            first_sync="apply",
            role_map={"ext:coach": coach} if coach else {},
            preferred_names=draw.random() < 0.5,
            phone_region=draw.choice(("US", "US", "DE", "GB")),
            primary_contacts=draw.random() < 0.3,
            guards=Guards(**CALM),
            **roles,
        )

    def _add_human(self, number: int) -> None:
        draw = self.draw
        sure = {
            "given_name": f"Given{chr(97 + number)}",
            "family_name": f"Family{chr(97 + number)}",
            "email": f"p{number}@people.example",
            "identifier": str(1000 + number),
        }
        for name, sis in self.sises.items():
            for place in range(draw.choice((1, 1, 2) if name == "one" else (0, 1))):
                roles = [
                    Role(draw.choice(ROLES), draw.choice(ORGS), end="2001-01-01" if draw.random() < 0.1 else None)
                    for _ in range(draw.choice((1, 2, 2, 3)))
                ]
                sis.district.add(
                    "student", "sch-1", sourced_id=f"{name}{number}-{place}",
                    **{**sure, "identifier": sure["identifier"] if draw.random() < 0.8 else ""},
                    roles=tuple(roles), agents=(), phone=draw.choice(PHONES), sms="",
                    username=draw.choice((f"u{number}", f"u{number}{name}{place}", "")),
                    state_id=draw.choice((f"m{number}", "")),
                    grades=draw.choice(((), ("09",))),
                    preferred_first_name=draw.choice(("", f"Nick{chr(97 + number)}")),
                    enabled=draw.random() < 0.8,
                    middle_name="",
                )  # fmt: skip


@pytest.mark.timeout(0)
def test_schools_that_know_the_same_people_do_not_change_them_in_turns(database: Database, site: Site) -> None:
    more = range(HISTORIES) if HISTORIES == USUAL else (Random().randrange(10**9) for _ in range(HISTORIES))
    for seed in (*FOUND, *more):
        draw = Random(seed)
        district = Turns(database, site, draw)
        keys = district.add_schools()
        for _ in range(3):
            for key in draw.sample(keys, len(keys)):
                district.sync_school(key)
        prints = district.fingerprint()
        for key in draw.sample(keys, len(keys)):
            district.sync_school(key)
            assert district.fingerprint() == prints, (seed, key, district.rows(CHANGED))
