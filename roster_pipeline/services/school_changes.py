"""Adds schools, and changes the settings of schools and districts. It also writes the audit entries."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, count
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import alerts, audit, tenant_changes, tenants
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services import access_changes
from roster_pipeline.services.settings_changes import (
    ChangedMeanwhile,
    FieldError,
    SettingsDiff,
    add_connection,
    allowed,
    change_connection,
    changed_names,
    given_reason,
    runs_untested,
    usable_secret,
)
from roster_pipeline.settings.school import (
    ANY_SCHOOL,
    MOST_RECIPIENTS,
    ConnectionSettings,
    DistrictSettings,
    SchoolSettings,
)
from roster_pipeline.sync.schedule_due import begin_with_next_night

WHAT = "school changed"
LONGEST_PAUSE = timedelta(days=400)
"""The longest pause: a year and a holiday. For a longer time, switch automatic rostering off."""
RESERVED = ("new",)


def add_school(
    conn: Connection, connection_key: str, key: str, name: str, settings: SchoolSettings, *, who: str
) -> SchoolRow:
    """Add a school of a connection, in the caller's transaction. Raises UnknownKey, KeyTaken, FieldError."""
    row = tenant_changes.add_school(conn, connection_key, key, name, settings)
    _check_school_id(conn, row)
    audit.record(conn, who, "school added", school=row)
    if settings.automatic:
        begin_with_next_night(conn, row.key, settings, datetime.now(UTC))
    return row


@dataclass(frozen=True)
class NewSchool:
    """A school to add. line: the number of its line in the file."""

    key: str
    connection: str
    name: str
    settings: SchoolSettings
    line: int


def add_schools(
    conn: Connection, wanted: Iterable[NewSchool], *, who: str
) -> tuple[list[SchoolRow], list[tuple[int, DirectoryError]]]:
    """Add many schools. Returns the added ones, and line and reason of the others; the caller may roll back."""
    added: list[SchoolRow] = []
    refused: list[tuple[int, DirectoryError]] = []
    for new in wanted:
        try:
            with conn.begin_nested():
                added.append(add_school(conn, new.connection, new.key, new.name, new.settings, who=who))
        except DirectoryError as problem:
            refused.append((new.line, problem))
    return added, refused


@dataclass(frozen=True)
class PickedSchool:
    """A school of the SIS that somebody picked. owners: e-mail addresses."""

    school_id: str
    name: str
    owners: Sequence[str] = ()


def add_picked(
    conn: Connection,
    connection: tenants.ConnectionRow,
    picked: Sequence[PickedSchool],
    pattern: SchoolSettings | None,
    *,
    who: str,
    console_url: str | None,
) -> list[tenants.SchoolRow]:
    """Add schools of a connection, give their owners access and invite them. pattern: the settings to take over, but
    automatic rostering is off until a test and the Roster Email goes to the new owners; None: the district's defaults,
    else the standard settings in its usual time zone. Raises KeyTaken, FieldError, NoAddress."""
    pattern = pattern or tenants.get_district(conn, connection.district_key).settings.school_defaults
    if pattern is None:
        zone = tenants.usual_time_zone(conn, [connection.district_id])
        pattern = SchoolSettings(school_id=ANY_SCHOOL, **({"time_zone": zone} if zone else {}))
    taken = {key for key, _ in tenants.school_names(conn, None, limit=1_000_000)}
    added: list[tenants.SchoolRow] = []
    invited: dict[str, list[tenants.SchoolRow]] = {}
    for school in picked:
        key = new_key(school.name, taken)
        taken.add(key)
        owners = list(dict.fromkeys(access_changes.address(email) for email in school.owners))
        own = {"school_id": school.school_id, "automatic": False, "report_to": owners[:MOST_RECIPIENTS]}
        row = add_school(conn, connection.key, key, school.name, pattern.model_copy(update=own), who=who)
        for email in owners:
            access_changes.grant(conn, email, Place(school_id=row.id), who=who)
            invited.setdefault(email, []).append(row)
        added.append(row)
    for email, schools in invited.items():
        first = f"/schools/{schools[0].key}" if len(schools) == 1 else ""
        access_changes.invite(conn, email, [row.name for row in schools], console_url=console_url, path=first)
    return added


def key_of(name: str) -> str:
    """A key made from a name: `St. Mary's, Lincoln` becomes `st-marys-lincoln`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")


def new_key(name: str, taken: Collection[str]) -> str:
    """The same for a school, with a number if the key is taken; never a word of the console's addresses."""
    plain = key_of(name)
    plain = plain if plain and plain not in RESERVED else f"school-{plain}".strip("-")
    numbered = (f"{plain}-{number}" for number in count(2))
    return next(key for key in chain([plain], numbered) if key not in taken)


def connect_sis(
    conn: Connection,
    district_key: str,
    key: str | None,
    settings: ConnectionSettings,
    secret: str,
    *,
    who: str,
    operator: bool,
) -> tenants.ConnectionRow:
    """Connect a SIS for a manager. An earlier attempt is corrected, so that it does not stay as a connection without
    schools. key: None for a new one, or that of the attempt. Raises KeyTaken, FieldError."""
    lock_until_commit(conn, f"connect {district_key}")
    tried = tenant_changes.tried_before(conn, district_key, settings)
    before = tried if tried is not None and key in (None, tried.key) else None
    wanted = allowed(before.settings if before else None, settings, operator=operator, manager=True)
    typed = usable_secret(before, wanted, secret)
    if before is not None:
        change_connection(conn, before.key, who=who, settings=wanted, secret=typed)
        return tenants.get_connection(conn, before.key)
    key = key or new_key(f"{district_key}-{wanted.sis}", {row.key for row in tenants.list_connections(conn)})
    return add_connection(conn, district_key, key, wanted, typed, who=who)


def change_school(
    conn: Connection,
    key: str,
    *,
    who: str,
    settings: SchoolSettings | None = None,
    name: str | None = None,
    seen: int | None = None,
) -> SettingsDiff:
    """Change a school's settings, its name, or both. seen: the revision that the person saw; None compares nothing.
    Raises ChangedMeanwhile for a newer one, UnknownKey, FieldError, RefusedSetting. It does not ask for a test:
    `SettingsDiff.untested` names the school."""
    names, after = write_school(conn, locked_school(conn, key), who=who, settings=settings, name=name, seen=seen)
    return SettingsDiff(names, [key] if runs_untested(after) else [])


def locked_school(conn: Connection, key: str) -> SchoolRow:
    """Return a school whose settings nobody else can change until the transaction ends. Raises UnknownKey."""
    lock_until_commit(conn, f"settings of school {key}")
    return tenants.get_school(conn, key)


def write_school(
    conn: Connection,
    now: SchoolRow,
    *,
    who: str,
    settings: SchoolSettings | None = None,
    name: str | None = None,
    seen: int | None = None,
    among: frozenset[str] | None = None,
) -> tuple[list[str], SchoolRow]:
    """`change_school` for a locked school: names of the settings that differ, and the changed school. among: the
    settings that the person saw, if not all; later changes of others do not matter."""
    if seen is not None and seen != now.revision:
        entries = audit.since_revision(conn, WHAT, seen, school_id=now.id)
        changed = {str(one).partition(".")[0] for entry in entries for one in entry.details.get("changed", ())}
        if among is None or seen < 0 or not changed or changed & among:
            raise ChangedMeanwhile(now.name, entries)
    revision, new_name = tenant_changes.set_school(conn, now.key, settings=settings, name=name)
    after = replace(now, settings=settings or now.settings, name=new_name, revision=revision)
    if after.settings.school_id != now.settings.school_id:
        _check_school_id(conn, after)
    names = changed_names(now.settings, after.settings) + (["name"] if after.name != now.name else [])
    audit.record(conn, who, WHAT, school=now, details={"changed": names, "revision": revision})
    if after.settings.automatic and not now.settings.automatic:
        begin_with_next_night(conn, now.key, after.settings, datetime.now(UTC))
    return names, after


def _check_school_id(conn: Connection, row: SchoolRow) -> None:
    """Refuse the School ID of another school: its people would come into this school as well."""
    other = tenants.namesake(conn, row)
    if other is not None:
        raise FieldError("school_id", f"This is the School ID of {other}; each school of a connection has its own.")


def pause(
    conn: Connection, until: date, *, school: str | None = None, district: str | None = None, who: str, reason: str
) -> None:
    """Keep the schedule from starting a school, or all schools of a district, before this day. Syncs by hand still
    work. Raises FieldError for a day that is past or far away, UnknownKey."""
    row = tenants.get_school(conn, school) if school is not None else None
    owner = tenants.get_district(conn, district) if row is None and district is not None else None
    today = datetime.now(row.settings.zone if row else UTC).date()
    if not today < until <= today + LONGEST_PAUSE:
        raise FieldError("until", f"Give a day after today and within the next {LONGEST_PAUSE.days} days.")
    given: dict[str, Any] = {"who": who, "reason": given_reason(reason), "details": {"until": until.isoformat()}}
    if row is not None:
        tenant_changes.pause(conn, until, school_id=row.id)
        audit.record(conn, what="school paused", school=row, **given)
    elif owner is not None:
        tenant_changes.pause(conn, until, district_id=owner.id)
        audit.record(conn, what="district paused", district_id=owner.id, **given)


def resume_district(conn: Connection, key: str, *, who: str) -> bool:
    """End the pause of a district. False if it was not paused. Raises UnknownKey."""
    row = tenants.get_district(conn, key)
    if row.paused_until is None or row.paused_until <= datetime.now(UTC).date():
        return False
    tenant_changes.pause(conn, None, district_id=row.id)
    audit.record(conn, who, "district resumed", district_id=row.id)
    return True


def resume_school(conn: Connection, key: str, *, who: str) -> bool:
    """Let a paused school run again from its next night on; False if it was not paused. Raises UnknownKey."""
    row = tenants.get_school(conn, key)
    until = tenant_changes.pause(conn, None, school_id=row.id)
    resting = until is not None and until > datetime.now(row.settings.zone).date()
    if not alerts.resume(conn, row.id) and not resting:
        return False
    begin_with_next_night(conn, row.key, row.settings, datetime.now(UTC))
    audit.record(conn, who, "school resumed", school=row)
    return True


def set_school_defaults(conn: Connection, key: str, defaults: SchoolSettings | None, *, who: str) -> SettingsDiff:
    """Set the settings with which new schools begin; None: the standard ones. School ID, recipients and automatic
    rostering belong to a single school, so they are left out. Raises UnknownKey."""
    stored = tenants.get_district(conn, key).settings
    plain = defaults.for_new_schools() if defaults else None
    return change_district(conn, key, stored.model_copy(update={"school_defaults": plain}), who=who)


def change_district(conn: Connection, key: str, settings: DistrictSettings, *, who: str) -> SettingsDiff:
    """Change a district's settings, in the caller's transaction. Raises UnknownKey, FieldError."""
    lock_until_commit(conn, f"settings of district {key}")
    before = tenants.get_district(conn, key)
    unknown = set(settings.connection_ranking) - {row.key for row in tenants.list_connections(conn, key)}
    if unknown:
        raise FieldError(
            "connection_ranking",
            f"The district {key} has no connection {', '.join(sorted(unknown))}; see: roster connection list",
        )
    tenant_changes.set_district(conn, key, settings)
    names = changed_names(before.settings, settings)
    audit.record(conn, who, "district changed", district_id=before.id, details={"changed": names})
    return SettingsDiff(names, [])
