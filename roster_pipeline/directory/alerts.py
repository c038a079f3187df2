"""Alerts and failed steps. A subject has one alert per cause, from its opening to its clearing, so many failures in a
row are one mail.

A subject is a school, a connection, or the installation itself. The next finished sync of a school clears its alerts.
The next finished pull of a connection clears the alerts of the connection. An alert on held changes clears when
somebody has decided, or when a newer plan holds nothing. The schedule does not start a school while its alert `paused`
is open. Alerts on a Client Secret depend on its last day.

Failed steps are kept as messages for people, so that one cause raises one alert, not one a night.
"""

# ruff: noqa: S608 - what is put together here are our own constants

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text

from roster_pipeline.directory.audit import RUN_REQUESTED
from roster_pipeline.directory.tables import failure, school

PAUSED, STALE, HELD, SOURCE_STALE, CLAIMED = "paused", "stale", "held", "source_stale", "claimed elsewhere"
EXPIRES, EXPIRES_SOON = "secret expires", "secret expires soon"
"""A finished sync or pull does not clear these two: only a new secret does."""
LASTING = f"('{HELD}', '{SOURCE_STALE}', '{CLAIMED}', '{EXPIRES}', '{EXPIRES_SOON}')"
"""Causes that a finished sync does not clear, and that do not explain why a school is silent."""

_ALERT = "id, subject, cause, school_id, connection_id, message, opened_at"
CLOSE_OF = f"""
update alert set cleared_at = now() where subject = :subject and cause = :cause and cleared_at is null
returning {_ALERT}
"""
OPEN = """
insert into alert (subject, cause, school_id, connection_id, message)
values (:subject, :cause, :school, :connection, :message)
on conflict (subject, cause) where cleared_at is null do nothing returning id
"""
CLEAR = f"""
update alert a set cleared_at = now()
where a.cleared_at is null and a.cause not in {LASTING} and (:every or a.id = any(cast(:only as bigint[]))) and (
    exists (select from sync y where y.school_id = a.school_id and y.kind = 'sync' and y.at > a.opened_at)
    or exists (
        select from pull p where p.connection_id = a.connection_id and p.finished_at > a.opened_at
          and not coalesce(p.proof -> 'problems' @> '["no-orgs"]', false)
    )
)
returning {_ALERT}
"""
OF_SCHOOL = """
select a.id from alert a where a.cleared_at is null and (
    a.school_id = :school or a.connection_id = (select s.connection_id from school s where s.id = :school)
) order by a.id for update skip locked
"""
"""The open alerts of a school and its connection, without those that another transaction has locked right now."""
SILENT = f"""
select s.id, s.key, greatest(done.at, s.updated_at) as since from school s
join district d on d.id = s.district_id
left join lateral (select max(at) as at from sync y where y.school_id = s.id and y.kind = 'sync') done on true
where (s.settings ->> 'automatic')::boolean
  and greatest(done.at, s.updated_at, s.paused_until, d.paused_until) < :now - cast(:after as interval)
  and not exists (
    select from alert a where a.cleared_at is null and a.cause not in {LASTING}
      and (a.school_id = s.id or a.connection_id = s.connection_id)
  )
"""
"""Silent schools. Schools that fail, and schools whose connection is down, are left out: they have another alert."""
FAILING = """
select s.id, s.key, count(distinct f.night) as nights from school s join failure f on f.school_id = s.id
where (s.settings ->> 'automatic')::boolean and f.night is not null
  and (cast(:key as text) is null or s.key = :key)
  and f.at > greatest(
    (select max(at) from sync y where y.school_id = s.id and y.kind = 'sync'),
    (select max(cleared_at) from alert a where a.school_id = s.id and a.cause = 'paused'), '-infinity'
  )
  and not exists (
    select from alert a where a.school_id = s.id and a.cause = 'paused' and a.cleared_at is null
  )
group by s.id, s.key having count(distinct f.night) >= :nights
"""
CLEAR_HELD = f"""
update alert a set cleared_at = now()
where a.cleared_at is null and a.cause = 'held' and not a.school_id = any(cast(:school_ids as bigint[]))
  and (:every or a.id = any(cast(:only as bigint[])))
returning {_ALERT}
"""
TO_REMIND = f"""
update alert set notified_at = :now where cleared_at is null and cause = 'paused'
and notified_at < :now - cast(:after as interval)
returning {_ALERT}
"""
UNKNOWN_RUNS = """
select run from unnest(cast(:runs as text[])) run
where not exists (select from failure f where f.run_id = run) and not exists (select from sync y where y.run_id = run)
"""
STARTED_BY = """coalesce(
    (
        select c.who from audit c where c.school_id = f.school_id and c.what = :requested
          and c.details ->> 'run' = f.run_id order by c.id desc limit 1
    ),
    case when f.night is not null then 'schedule' else 'by hand' end
)"""
"""Who started the run of a failure `f`: a person of the audit, or the schedule. requested: `audit.RUN_REQUESTED`."""
RECENT = f"""
select f.id, f.at, s.key as school, f.step, f.message, f.run_id, {STARTED_BY} as who
from failure f join school s on s.id = f.school_id
where cast(:school as bigint) is null or f.school_id = :school order by f.id desc limit :limit
"""
DATED = """
select id as connection_id, key, cast(settings ->> 'secret_expires' as date) as expires from connection
where settings ->> 'secret_expires' is not null order by key
"""


@dataclass(frozen=True)
class Alert:
    """An alert. It has a school_id or a connection_id. An alert with neither concerns the operators alone."""

    id: int
    subject: str
    cause: str
    school_id: int | None
    connection_id: int | None
    message: str
    opened_at: datetime


def open_alert(
    conn: Connection,
    subject: str,
    cause: str,
    message: str,
    *,
    school: int | None = None,
    connection: int | None = None,
) -> int | None:
    """Open an alert and return its id; None if this one is open already."""
    given = {"subject": subject, "cause": cause, "message": message, "school": school, "connection": connection}
    opened: int | None = conn.scalar(text(OPEN), given)
    return opened


def clear_finished(conn: Connection, only: list[int] | None = None) -> list[Alert]:
    """Close the alerts that a finished sync or pull has answered, and return them. only: clear only these."""
    return _alerts(conn, CLEAR, {"every": only is None, "only": only or []})


def lock_of_school(conn: Connection, school_id: int) -> list[int]:
    """Lock the open alerts of a school and its connection; locked ones are left out. Returns their ids."""
    return list(conn.scalars(text(OF_SCHOOL), {"school": school_id}))


def lock_all(conn: Connection) -> None:
    """Lock every open alert, after the transactions that have locked one. Such a transaction may still open an alert.
    So call this before a change of many alerts opens one; otherwise each would wait for the other."""
    conn.execute(text("select id from alert where cleared_at is null order by id for update"))


def lock_open(conn: Connection, ids: Collection[int]) -> set[int]:
    """Lock those of these alerts that are still open; locked ones are left out."""
    query = "select id from alert where cleared_at is null and id = any(:ids) order by id for update skip locked"
    return set(conn.scalars(text(query), {"ids": sorted(ids)}))


def close(conn: Connection, alert_id: int) -> None:
    conn.execute(text("update alert set cleared_at = now() where id = :id"), {"id": alert_id})


def close_of(conn: Connection, subject: str, cause: str) -> Alert | None:
    """Close the open alert of this subject and cause, and return it."""
    return next(iter(_alerts(conn, CLOSE_OF, {"subject": subject, "cause": cause})), None)


def clear_held(conn: Connection, school_ids: list[int], only: list[int] | None = None) -> list[Alert]:
    """Close the alerts on held changes except those of these schools. only: of these alerts."""
    return _alerts(conn, CLEAR_HELD, {"school_ids": school_ids, "every": only is None, "only": only or []})


def resume(conn: Connection, school_id: int) -> bool:
    """Let the schedule start a paused school again. False if it was not paused."""
    done = "update alert set cleared_at = now() where school_id = :school and cause = 'paused' and cleared_at is null"
    return bool(conn.execute(text(done), {"school": school_id}).rowcount)


def silent_schools(conn: Connection, now: datetime, after: timedelta) -> Sequence[Row[Any]]:
    """Automatic schools that have not finished a sync for this long (since when), without an open alert with the
    reason."""
    return conn.execute(text(SILENT), {"now": now, "after": after}).all()


def failing_schools(conn: Connection, nights: int, key: str | None = None) -> list[tuple[int, str, int]]:
    """Automatic schools (id, key, nights) that failed in so many nights since their last sync and are not paused."""
    return [(row.id, row.key, row.nights) for row in conn.execute(text(FAILING), {"nights": nights, "key": key})]


def to_remind(conn: Connection, now: datetime, after: timedelta) -> list[Alert]:
    """Pauses whose last mail was this long ago. Notes that a mail is sent now."""
    return _alerts(conn, TO_REMIND, {"now": now, "after": after})


def unknown_runs(conn: Connection, run_ids: list[str]) -> set[str]:
    """The runs for which neither a failure nor a sync was ever stored."""
    return set(conn.scalars(text(UNKNOWN_RUNS), {"runs": run_ids}))


def open_alerts(conn: Connection) -> list[Alert]:
    """All open alerts, oldest first."""
    return _alerts(conn, f"select {_ALERT} from alert where cleared_at is null order by id", {})


def of_installation(conn: Connection) -> list[Alert]:
    """The open alerts for the operators alone, oldest first."""
    return [alert for alert in open_alerts(conn) if alert.school_id is None and alert.connection_id is None]


def _alerts(conn: Connection, query: str, given: dict[str, Any]) -> list[Alert]:
    return [Alert(**row) for row in conn.execute(text(query), given).mappings()]


def recent(conn: Connection, *, school_id: int | None = None, limit: int = 50) -> Sequence[Row[Any]]:
    """Failed steps, newest first. message: what was wrong, a line break, what to do. who: started its run."""
    given = {"school": school_id, "limit": limit, "requested": RUN_REQUESTED}
    return conn.execute(text(RECENT), given).all()


def record(
    conn: Connection,
    school_key: str,
    step: str,
    message: str,
    run_id: str | None,
    *,
    cause: str = "step",
    night: str | None = None,
    retryable: bool = False,
) -> bool:
    """Store one failed step; False if there is no such school. night: None for a run by hand."""
    school_id = conn.scalar(select(school.c.id).where(school.c.key == school_key).with_for_update(key_share=True))
    if school_id is None:
        return False
    row = insert(failure).values(
        school_id=school_id, step=step, message=message, run_id=run_id, cause=cause, night=night, retryable=retryable
    )
    conn.execute(row)
    return True


def dated_secrets(conn: Connection) -> Sequence[Row[Any]]:
    """Every connection that says on which day its secret ends, by key. The secret is still valid on that day."""
    return conn.execute(text(DATED)).all()


def open_expiries(conn: Connection) -> dict[int, list[Alert]]:
    """Open alerts about secrets that end, by connection."""
    found: dict[int, list[Alert]] = {}
    for alert in open_alerts(conn):
        if alert.cause in (EXPIRES, EXPIRES_SOON) and alert.connection_id is not None:
            found.setdefault(alert.connection_id, []).append(alert)
    return found
