"""The pipeline under test: two districts with a simulated SIS each, and nights on a real database over HTTP.

The night's own functions are called, without Dagster around them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from sqlalchemy import Connection

from roster_pipeline import sync
from roster_pipeline.directory import rosters, tenant_changes
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import latest_snapshot
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline_tests.chosen_records import assert_chosen_again
from roster_pipeline_tests.district import CLIENT, SECRET, District, simulated
from roster_pipeline_tests.invariants.histories import EVERY
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.kept_frames import assert_same_frame

PREFIXES = ("/one", "/two")
PAGE = 13
"""Records per page, so that few people fill several pages; with fewer, one page shows nothing about its server."""
TABLES = {
    "person": "id",
    "link": "connection_id, sourced_id",
    "link_exclusion": "connection_id, sourced_id, person_id",
    "membership": "school_id, person_id",
    "contact": "school_id, person_id",
}
"""The directory's tables, each with its order."""
NOT_COMPARED = "'{revision,updated_at}'::text[]"

_numbers = count(1)


@dataclass(frozen=True)
class Site:
    """A running simulator with two SISes that know nothing of each other."""

    base_url: str
    sises: tuple[Sis, Sis]


@contextmanager
def running_site() -> Iterator[Site]:
    """Two SISes of two schools each, still empty."""
    sises = tuple(
        Sis(
            generate_district(1, schools=2, students_per_school=0, contacts=False),
            prefix=prefix,
            credentials={CLIENT: SECRET},
            versions=("1.2",),
        )
        for prefix in PREFIXES
    )
    with running(create_site(list(sises))) as base_url:
        yield Site(base_url, (sises[0], sises[1]))


class _Rehearsal(Database):
    """A database whose transactions are parts of one that is rolled back."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._conn.begin_nested():
            yield self._conn


class Place(District):
    """One district with one connection, in a database that other districts share."""

    def __init__(self, database: Database, site: Site, place: int) -> None:
        self.sis = site.sises[place]
        key = f"d{next(_numbers)}"
        settings = simulated(site.base_url + PREFIXES[place], page_size=PAGE)
        super().__init__(database, settings, key=key, connection=key)
        self.taken_over = 0

    def add(self, rules: SchoolRules) -> str:
        """Add a school with these rules; returns its key."""
        key = f"{self.key}-{rules.school_id}"
        with self.database.begin() as conn:
            tenant_changes.add_school(conn, self.key, key, key, rules.settings())
        return key

    def sync_school(self, key: str = "lincoln", batch: str | None = None) -> SyncResult:
        """One school's sync, with a fetch of its own unless a batch is named.

        Also checks the records and rosters that were taken over from earlier nights.
        """
        sync.fetch(self.database, key, batch=batch or f"night {next(_numbers)}", run_id=None)
        self._check_chosen(key)
        self.taken_over += sync.clean_latest(self.database, key, run_id=None).taken_over
        if self.taken_over == EVERY:
            self.taken_over = 0
            self._check_taken_over(key)
        sync.plan_latest(self.database, key, run_id=None)
        return sync.apply_latest(self.database, key, run_id=None, who="test")

    def _check_chosen(self, school_key: str) -> None:
        """Assert that a snapshot made from an earlier one has the records of a full selection."""
        with self.database.begin() as conn:
            school, facts = latest_snapshot(conn, school_key)
            assert facts is not None
            assert_chosen_again(conn, school, facts)

    def _check_taken_over(self, school: str) -> None:
        """Assert that a roster from an earlier night is the one that cleaning makes; that one is not kept."""
        cleaned = []
        with self.database.begin() as conn:
            for again in (False, True):
                if again:
                    sync.clean_latest(_Rehearsal(conn), school, run_id=None, take_over=False)
                _, facts = latest_snapshot(conn, school)
                assert facts is not None
                cleaned.append([*rosters.load(conn, facts["id"]), rosters.load_quality(conn, facts["id"])])
            conn.rollback()
        for taken, made in zip(*cleaned, strict=True):
            assert_same_frame(taken, made)

    def fingerprint(self, *, absences: bool = True) -> dict[str, str | None]:
        """The md5 of every directory table of this district, without counters of writes and, if wanted, of absences."""
        left_out = NOT_COMPARED if absences else f"{NOT_COMPARED} - 'absent_syncs'"
        parts = (
            f"(select md5(string_agg((to_jsonb(t) - {left_out})::text, '|' order by {order})) "
            f"from {name} t where district_id = :district) as {name}"
            for name, order in TABLES.items()
        )
        return self.rows(f"select {', '.join(parts)}")[0]

    def ledger(self) -> dict[str, int]:
        """How many syncs and mails there are."""
        return self.rows(
            "select count(*) as syncs, (select count(*) from outbox o join school s on s.id = o.school_id "
            "where s.district_id = :district) as mails from sync where district_id = :district"
        )[0]
