"""What is dropped when it is old: raw records, sent mails, notes of nights and cleared alerts. People never are.

The ledger, the change log and the audit stay: they are what a rollback and a question need.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, text

from roster_pipeline.directory import connection_tests, pulls

OLD = {
    "mails": "delete from outbox where sent_at < now() - cast(:age as interval)",
    "row details": (
        "update outbox set attachment = null where attachment is not null and dead_at < now() - interval '7 days'"
    ),
    "digest lines": "delete from digest where message_id is not null and put_at < now() - cast(:age as interval)",
    "nights": "delete from scheduled_run where requested_at < now() - cast(:age as interval)",
    "failures": (
        "delete from failure f where at < now() - cast(:age as interval) "
        "and exists (select from sync y where y.school_id = f.school_id and y.kind = 'sync' and y.at > f.at)"
    ),
    "alerts": "delete from alert where cleared_at < now() - cast(:age as interval) and cause <> 'paused'",
    "runs by hand": "delete from manual_run where ended_at < now() - cast(:age as interval)",
    "uploaded lists": "delete from people_upload where at < now() - interval '1 day'",
}
"""Row details of a mail that was given up go after a week, enough for a second try: they concern people.
Failures of a school that never worked since are kept: they count towards its pause, and so does the last one."""


def drop_old(conn: Connection, age: timedelta) -> dict[str, int]:
    """Drop what is older; what was dropped, by name."""
    dropped = {name: conn.execute(text(query), {"age": age}).rowcount for name, query in OLD.items()}
    return dropped | {"tests of forms": connection_tests.prune(conn), "broken pulls": pulls.drop_broken(conn)}
