"""The numbers of monitoring as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from roster_pipeline.directory import metrics
from roster_pipeline.directory.database import Database

OF_A_SCHOOL = {
    "last_sync": ("roster_last_sync_timestamp_seconds", "When the school's last sync finished"),
    "seconds": ("roster_sync_duration_seconds", "From the end of the fetch to the end of the last sync"),
    "held": ("roster_held_rows", "Changes that the last sync held"),
    "failures": ("roster_failures_since_sync", "Failed steps since the last finished sync"),
    "automatic": ("roster_automatic", "1 where the school runs every night by itself"),
    "paused": ("roster_paused", "1 where the school is paused after a week of failed nights"),
}
OF_ALL = {
    "alerts": ("roster_open_alerts", "Alerts that are open"),
    "waiting": ("roster_outbox_waiting", "Mails that wait to be sent"),
    "dead": ("roster_outbox_dead", "Mails that were given up"),
}


def exposition(database: Database, more: Mapping[str, tuple[str, float]] | None = None) -> str:
    """Every metric, by school key; no value of a person. more: name to meaning and value, from outside our tables."""
    with database.begin() as connection:
        schools, people, rest = metrics.read(connection)
    lines: list[str] = []
    for column, (name, meaning) in OF_A_SCHOOL.items():
        found = ((f'school="{row["school"]}"', row[column]) for row in schools if row[column] is not None)
        lines += _family(name, meaning, found)
    counted = ((f'school="{row["school"]}",role="{row["role"]}"', row["people"]) for row in people)
    lines += _family("roster_people", "Active people of a school by role", counted)
    for column, (name, meaning) in OF_ALL.items():
        lines += _family(name, meaning, [("", rest[column])])
    for name, (meaning, value) in (more or {}).items():
        lines += _family(name, meaning, [("", value)])
    return "\n".join(lines) + "\n"


def _family(name: str, meaning: str, samples: Iterable[tuple[str, Any]]) -> list[str]:
    values = [f"{name}{{{labels}}} {float(value):.3f}" if labels else f"{name} {value}" for labels, value in samples]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", *values]
