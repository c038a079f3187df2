"""Whether a SIS names every change: proved before changes alone are fetched, and tested again with each full pull."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import audit, delta_base
from roster_pipeline.directory.delta_base import DeltaBase
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.oneroster.collections.delta import KINDS, PROVED, NamedChanges
from roster_pipeline.sync.alert_recipients import affected_schools, send_alert
from roster_pipeline.vocabulary import counted

READS = "reads"
"""In a pull's proof: what of the records was asked for. Pulls that differ in it differ in people who did not change."""
NOT_NAMED = "changes-not-named"
"""Note of a full pull: so many people had changed without being named."""


def is_proved(learned: Mapping[str, Any]) -> bool:
    """Whether every kind of change was named by this SIS so far."""
    return set(KINDS) <= set(learned.get(PROVED, ()))


def look_at_changes(
    connection: Connection, school: SchoolRow, pull_id: int, base: DeltaBase, reads: str, named: NamedChanges
) -> tuple[list[str], list[str]]:
    """Compare a full pull with whom the SIS names as changed since an earlier one.

    Returns the kinds that are proved now, and notes for the pull's proof. One person who was not named switches
    "changes only" off for the connection, and its owners are told.
    """
    proved = set(school.connection.learned.get(PROVED, ()))
    if base.proof.get(READS) != reads:
        return sorted(proved), []
    found = delta_base.compare_named(connection, pull_id, base.id, named.ids)
    if found.missed:
        _switch_off(connection, school, pull_id, found.missed)
        return [], [f"{NOT_NAMED}:{found.missed}"]
    proved |= {"same_day"} if named.same_day else set()
    proved |= {"membership"} if found.membership else set()
    proved |= {"email"} if found.email else set()
    return sorted(proved), [f"{NOT_NAMED}:0"]


def _switch_off(connection: Connection, school: SchoolRow, pull_id: int, missed: int) -> None:
    source = school.connection
    if not delta_base.switch_delta_off(connection, source):
        return
    people = counted(missed, "person who had", "people who had")
    audit.record(
        connection,
        who="roster",
        what="connection changed",
        district_id=source.district_id,
        reason=f"the SIS did not name {people} changed",
        details={"connection": source.key, "changed": ["delta"]},
    )
    notice = Notice(
        f"Connection {source.key}",
        "",
        datetime.now(UTC),
        school.settings.time_zone,
        "attention",
        "Changes only",
        f"The SIS did not name {people} changed, so everything is fetched every night",
        (
            "Between full pulls only changes were to be fetched from this SIS. A full pull found people who had "
            "changed without being named, so that setting was switched off. Tonight's data are complete.",
            "Tell the people who run the SIS that dateLastModified does not follow every change of a user.",
        ),
        f"roster connection show {source.key}",
    )
    send_alert(connection, affected_schools(connection, school), notice, "delta", source.id, pull_id)
