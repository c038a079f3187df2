"""Adding a school and changing its settings, with the audit entry, for the command line and the console alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import alerts, audit, tenants
from roster_pipeline.directory.database_errors import DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.connection_test_state import may_be_automatic, runs_untested
from roster_pipeline.services.field_error import FieldError
from roster_pipeline.services.settings_diff import ChangedMeanwhile, SettingsDiff, changed_names
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.sync.schedule_due import begin_with_next_night

WHAT = "school changed"


def add_school(
    conn: Connection, connection_key: str, key: str, name: str, settings: SchoolSettings, *, who: str
) -> SchoolRow:
    """Add a school of a connection, in the caller's transaction. Raises UnknownKey, KeyTaken, FieldError."""
    row = tenants.add_school(conn, connection_key, key, name, settings)
    _its_own(conn, row)
    audit.record(conn, who=who, what="school added", district_id=row.district_id, school_id=row.id)
    if settings.automatic:
        begin_with_next_night(conn, row.id, settings, datetime.now(UTC))
    return row


@dataclass(frozen=True)
class NewSchool:
    """A school to add. line: where it stands in the file it comes from."""

    key: str
    connection: str
    name: str
    settings: SchoolSettings
    line: int


def add_schools(
    conn: Connection, wanted: Iterable[NewSchool], *, who: str
) -> tuple[list[SchoolRow], list[tuple[int, DirectoryError]]]:
    """Add many schools in the caller's transaction; gives those that could be added, and line and reason of the others.

    For all or nothing, the caller rolls back where there are others.
    """
    added: list[SchoolRow] = []
    refused: list[tuple[int, DirectoryError]] = []
    for one in wanted:
        try:
            with conn.begin_nested():
                added.append(add_school(conn, one.connection, one.key, one.name, one.settings, who=who))
        except DirectoryError as problem:
            refused.append((one.line, problem))
    return added, refused


def change_school(
    conn: Connection,
    key: str,
    *,
    who: str,
    settings: SchoolSettings | None = None,
    name: str | None = None,
    seen: int | None = None,
    before: SchoolRow | None = None,
) -> SettingsDiff:
    """Change a school's settings, its name, or both, in the caller's transaction.

    seen: the revision that the person saw; None does not ask. Raises ChangedMeanwhile where there is a newer one.
    before: the school before anything of this transaction; given by pages, which also ask for a test (`last_test`) and
    raise NeedsTest. Without it, the school is named in `SettingsDiff.untested` instead. Raises UnknownKey, FieldError.
    """
    lock_until_commit(conn, f"settings of school {key}")
    now = tenants.get_school(conn, key)
    if seen is not None and seen != now.revision:
        raise ChangedMeanwhile(now.name, audit.since_revision(conn, WHAT, seen, school_id=now.id))
    tenants.set_school(conn, key, settings=settings, name=name)
    after = tenants.get_school(conn, key)
    if after.settings.school_id != now.settings.school_id:
        _its_own(conn, after)
    names = changed_names(now.settings.model_dump(mode="json"), after.settings.model_dump(mode="json"))
    names += ["name"] if after.name != now.name else []
    audit.record(
        conn,
        who=who,
        what=WHAT,
        district_id=now.district_id,
        school_id=now.id,
        details={"changed": names, "revision": after.revision},
    )
    if after.settings.automatic and not now.settings.automatic:
        begin_with_next_night(conn, now.id, after.settings, datetime.now(UTC))
    if before is not None:
        may_be_automatic(before, after)
    return SettingsDiff(names, [key] if runs_untested(after) else [])


def _its_own(conn: Connection, row: SchoolRow) -> None:
    """A School ID typed wrong can be another school's; then that school's people would come into this one as well."""
    other = tenants.namesake(conn, row)
    if other is not None:
        raise FieldError("school_id", f"This is the School ID of {other}; each school of a connection has its own.")


def resume_school(conn: Connection, key: str, *, who: str) -> bool:
    """Let a paused school run by itself again, from its next night on. False if it was not paused.

    Raises UnknownKey.
    """
    row = tenants.get_school(conn, key)
    if not alerts.resume(conn, row.id):
        return False
    begin_with_next_night(conn, row.id, row.settings, datetime.now(UTC))
    audit.record(conn, who=who, what="school resumed", district_id=row.district_id, school_id=row.id)
    return True
