"""Time under control: it passes by making stored data older.

No clock is replaced: the daemon, PostgreSQL and our code read the real one. When a day is over, every moment in our
tables moves back by a day, and so do the schedule's last ticks in Dagster. The schools are in a time zone where it is
night while the test runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData
from dagster._core.storage.tags import RUN_KEY_TAG
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from roster_pipeline.defs.asset_helpers import NIGHT_TAG
from roster_pipeline.directory import tenant_changes, tenants
from roster_pipeline.directory.database import Database, DirectoryError

DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
"""The schedule's ticks."""
BEFORE_THE_TICK = timedelta(minutes=10)
SYNC_HOUR = 20
MOST_TRIES = 5
MOMENTS = """
select c.table_name, array_agg(c.column_name::text) as columns from information_schema.columns c
join information_schema.tables t using (table_schema, table_name)
where c.table_schema = 'public' and c.data_type = 'timestamp with time zone' and t.table_type = 'BASE TABLE'
  and not exists (select from pg_trigger g where g.tgrelid = c.table_name::regclass and not g.tgisinternal)
group by c.table_name order by c.table_name
"""
"""Every moment of our tables, except those of people and their history: triggers refuse changes of these, and no rule
reads them."""
NIGHTS = (("scheduled_run", "night"), ("failure", "night"), ("pull", "batch"))
"""Local dates of nights, as text."""


@dataclass
class Calendar:
    """Tonight, as a real moment (UTC), and a zone where it is night then."""

    database: Database
    instance: dg.DagsterInstance
    tonight: datetime
    time_zone: str
    late: timedelta = timedelta()

    @classmethod
    def starting_now(cls, database: Database, instance: dg.DagsterInstance) -> Calendar:
        """The first night came shortly before the schedule's last tick."""
        now = datetime.now(UTC)
        tick = now - (now - datetime.min.replace(tzinfo=UTC)) % QUARTER
        tonight = tick - BEFORE_THE_TICK
        ahead = (SYNC_HOUR - tonight.hour + 12) % 24 - 12
        return cls(database, instance, tonight, f"Etc/GMT{-ahead:+d}" if ahead else "UTC")

    @property
    def sync_time(self) -> time:
        """Tonight on the schools' clocks."""
        return self.tonight.astimezone(ZoneInfo(self.time_zone)).time().replace(second=0, microsecond=0)

    @property
    def night(self) -> str:
        """Tonight's local date."""
        return self.tonight.astimezone(ZoneInfo(self.time_zone)).date().isoformat()

    def next_night(self) -> None:
        """The night and the day pass; the next night has just come."""
        self._tell_the_schools(self.late)
        self._pass(DAY - self.late, nights=1)
        self.late = timedelta()

    def later(self, passed: timedelta) -> None:
        """This much time passes within the same night."""
        self._tell_the_schools(-passed)
        self._pass(passed, nights=0)
        self.late += passed

    def is_known(self) -> bool:
        """Whether the daemon has seen the schedule yet."""
        return bool(self._schedules())

    def _tell_the_schools(self, shift: timedelta) -> None:
        """Set the schools' sync times again: the night keeps its distance from now, which is another time on the wall
        clock."""
        self.tonight += shift
        with self.database.begin() as conn:
            for school in tenants.list_schools(conn):
                changed = school.settings.model_copy(update={"sync_time": self.sync_time})
                tenant_changes.set_school(conn, school.key, changed)

    def _pass(self, passed: timedelta, nights: int) -> None:
        """The run keys come first. Until our tables are older too, a tick of the schedule finds the night started;
        after that, it must not find the run keys of the past night."""
        if nights:
            self._age_run_keys(nights)
        for attempt in range(MOST_TRIES):
            try:
                self._age_our_tables(passed, nights)
                break
            except (DBAPIError, DirectoryError):  # a deadlock with the sensors, which read all the time
                if attempt == MOST_TRIES - 1:
                    raise
        self._age_the_schedule(passed)

    def _age_our_tables(self, passed: timedelta, nights: int) -> None:
        with self.database.begin() as conn:
            for table, columns in conn.execute(text(MOMENTS)).all():
                moved = ", ".join(f'"{name}" = "{name}" - cast(:passed as interval)' for name in columns)
                conn.execute(text(f'update "{table}" set {moved}'), {"passed": passed})
            for table, column in NIGHTS:
                moved = f"'older ' || to_char(to_date({column}, 'YYYY-MM-DD') - cast(:nights as int), 'YYYY-MM-DD')"
                dated = f"{column} ~ '^\\d{{4}}-\\d\\d-\\d\\d$'"
                conn.execute(text(f"update {table} set {column} = {moved} where {dated}"), {"nights": nights})
                stripped = f"replace({column}, 'older ', '')"  # in a second step, or dates would collide
                conn.execute(text(f"update {table} set {column} = {stripped} where {column} like 'older %'"))

    def _age_run_keys(self, nights: int) -> None:
        """Change the run keys of the past night, which contain its date."""
        tonight = self.night
        older = (datetime.fromisoformat(tonight) - nights * DAY).date().isoformat()
        for run in self.instance.get_runs(dg.RunsFilter(tags={NIGHT_TAG: tonight})):
            moved = {name: run.tags[name].replace(tonight, older) for name in self._dated(run.tags)}
            self.instance.add_run_tags(run.run_id, moved)

    @staticmethod
    def _dated(tags: Iterable[str]) -> list[str]:
        return [name for name in (NIGHT_TAG, RUN_KEY_TAG) if name in tags]

    def _age_the_schedule(self, passed: timedelta) -> None:
        gone = passed.total_seconds()
        for state in self._schedules():
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id):
                older = tick.tick_data._replace(timestamp=tick.timestamp - gone)
                self.instance.update_tick(tick._replace(tick_data=older))
        self.set_the_schedule_back()

    def set_the_schedule_back(self) -> None:
        """Let Dagster's schedule have ticked last when the night came."""
        came = self.tonight.timestamp()
        for state in self._schedules():
            assert isinstance(state.instigator_data, ScheduleInstigatorData)
            moved = state.instigator_data._replace(start_timestamp=came, last_iteration_timestamp=came)
            self.instance.update_instigator_state(state.with_data(moved))

    def _schedules(self) -> list[InstigatorState]:
        found = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        return [state for state in found if state.instigator_name == "nightly"]
