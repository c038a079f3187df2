"""Edits of a person by hand: link, choose the primary record, exclude, lock, edit, archive, restore, add.

The audit has each edit with its reason.

Every change takes the district's lock and raises the row's revision, so a plan made before it is not applied.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.link_records import LEAVE_BY_HAND
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.relink import unlink_pairs
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.vocabulary import MEMBERSHIP_FIELDS, PERSON_FIELDS

OWN_LINK = """
select true from link
where connection_id = :connection and sourced_id = :sourced_id and person_id = :person and district_id = :district
"""
ASKED = """
select true from plan_row r join plan o on o.id = r.plan_id join snapshot s on s.id = o.snapshot_id
where o.district_id = :district and o.state = 'planned' and s.connection_id = :connection
  and r.action = 'conflict' and coalesce(r.person_id, :person) = :person and :sourced_id = any(r.sourced_ids)
limit 1
"""
"""Condition: a current plan has a conflict between this record and this person, or several people."""


class NoSuchLink(DirectoryError):
    """The person has no link to this record."""


class NoSuchField(DirectoryError):
    """People have no field of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"People have no field {name}.", f"Fields are: {', '.join(PERSON_FIELDS)}")


class NotAMember(DirectoryError):
    """The person has no membership in this school, or it is not in the expected state."""


def link(
    conn: Connection, connection: ConnectionRow, person_id: int, sourced_id: str, *, who: str, reason: str
) -> None:
    """Say that a record is this person, even against evidence or `unlink`; a link that a sync made is now confirmed.
    Raises UnknownPerson, and DirectoryError if the record belongs to somebody else."""
    given = _locked(conn, connection.district_id, person_id) | {"connection": connection.id, "sourced_id": sourced_id}
    theirs = "connection_id = :connection and sourced_id = :sourced_id"
    row = conn.execute(text(f"select person_id, confirmed from link where {theirs}"), given).first()  # noqa: S608
    if row is not None and row.person_id != person_id:
        raise DirectoryError(
            f"This record is already linked to person {row.person_id}.",
            f"Unlink it first, if it is not theirs: roster person unlink {row.person_id}",
        )
    details: dict[str, Any] = {"connection": connection.key}
    if row is None:
        what = "record linked"
        excluded = f"delete from link_exclusion where {theirs} and person_id = :person"  # noqa: S608
        if conn.execute(text(excluded), given).rowcount:
            details["was_excluded"] = True
        change = (
            "insert into link (district_id, connection_id, sourced_id, person_id, confirmed, is_primary) "
            "values (:district, :connection, :sourced_id, :person, true, "
            "not exists (select from link where person_id = :person and is_primary))"
        )
    elif row.confirmed:
        return
    else:
        what, change = "link confirmed", f"update link set confirmed = true where {theirs}"  # noqa: S608
    conn.execute(text(change), given)
    _touched(conn, given, what, who, reason, details)


def unlink(
    conn: Connection, connection: ConnectionRow, person_id: int, sourced_id: str, *, who: str, reason: str
) -> None:
    """Say that a record, linked to or in conflict with a person, is not theirs; only `link` links them again. Another
    link becomes the primary one. Raises NoSuchLink."""
    given = _locked(conn, connection.district_id, person_id) | {"connection": connection.id, "sourced_id": sourced_id}
    if conn.scalar(text(f"{OWN_LINK} union all {ASKED}"), given) is None:
        raise NoSuchLink(f"Person {person_id} has no link to this record.", f"See: roster person show {person_id}")
    unlink_pairs(conn, connection, [(person_id, sourced_id)], who=who, reason=reason)


def set_primary_record(
    conn: Connection, connection: ConnectionRow, person_id: int, sourced_id: str, *, who: str, reason: str
) -> None:
    """Choose the primary record of a person. It stays until somebody chooses another record or the link to this one is
    removed. The next sync of that connection updates the fields themselves. Raises UnknownPerson, NoSuchLink."""
    given = _locked(conn, connection.district_id, person_id) | {"connection": connection.id, "sourced_id": sourced_id}
    if conn.scalar(text(OWN_LINK), given) is None:
        raise NoSuchLink(
            f"Person {person_id} has no link to this record.",
            f"Link it first, if it is theirs: roster person link {person_id} {sourced_id}",
        )
    conn.execute(text(LEAVE_BY_HAND), given)
    this = "(connection_id = :connection and sourced_id = :sourced_id)"
    conn.execute(
        text(f"update link set is_primary = {this}, primary_by_hand = {this} where person_id = :person"),  # noqa: S608
        given,
    )
    _touched(conn, given, "primary record chosen", who, reason, {"connection": connection.key})


def set_excluded(conn: Connection, district_id: int, person_id: int, excluded: bool, *, who: str, reason: str) -> None:
    """Keep every sync away from this person, or let syncs change them again."""
    given = _locked(conn, district_id, person_id) | {"excluded": excluded}
    what = "person excluded" if excluded else "person included"
    _touched(conn, given, what, who, reason, pairs="excluded = :excluded, ")


def set_lock(
    conn: Connection, district_id: int, person_id: int, name: str, locked: bool, *, who: str, reason: str
) -> None:
    """Keep one field as it is, even if the SIS differs, or let it follow the SIS again. Raises NoSuchField."""
    _check_field(name)
    given = _locked(conn, district_id, person_id) | {"name": name}
    others = "array_remove(locked_fields, :name)"
    value = f"array(select unnest({others} || cast(:name as text)) order by 1)" if locked else others
    what = "field locked" if locked else "field unlocked"
    _touched(conn, given, what, who, reason, {"field": name}, pairs=f"locked_fields = {value}, ")


def edit(
    conn: Connection,
    district_id: int,
    person_id: int,
    fields: Mapping[str, Any],
    *,
    who: str,
    reason: str,
    lock_fields: bool = True,
) -> None:
    """Set fields by hand. By default they are also locked; otherwise the next sync would set them back."""
    for name in fields:
        _check_field(name)
    given = _locked(conn, district_id, person_id) | {f"to_{name}": value for name, value in fields.items()}
    pairs = "".join(f"{name} = :to_{name}, " for name in fields) + "updated_at = now(), "
    if lock_fields:
        pairs += "locked_fields = array(select distinct unnest(locked_fields || :names) order by 1), "
    details = {"fields": sorted(fields), "locked": lock_fields}
    _touched(conn, given | {"names": list(fields)}, "person edited", who, reason, details, pairs=pairs)


ARCHIVED = "status = 'archived', archived_by = 'hand', archived_at = now()"
RESTORED = "status = 'active', archived_by = null, archived_at = null, absent_syncs = 0, managed = false"


def set_archived(conn: Connection, school: SchoolRow, person_id: int, archived: bool, *, who: str, reason: str) -> None:
    """Archive a membership by hand, or bring it back. A sync restores an archived one only if the school allows that.
    It archives a restored one only after the SIS has had the person again. Raises NotAMember."""
    before, after, changes = ("active", "archived", ARCHIVED) if archived else ("archived", "active", RESTORED)
    given = _locked(conn, school.district_id, person_id) | {"school": school.id, "before": before}
    done = conn.execute(
        text(
            f"update membership set {changes}, revision = revision + 1, updated_at = now() "  # noqa: S608
            "where district_id = :district and school_id = :school and person_id = :person and status = :before"
        ),
        given,
    )
    if not done.rowcount:
        raise NotAMember(
            f"{school.key}: person {person_id} has no {before} membership.", f"See: roster person show {person_id}"
        )
    audit.record(conn, who, f"membership {after}", school=school, person_id=person_id, reason=reason)


def add(conn: Connection, school: SchoolRow, fields: Mapping[str, Any], *, who: str, reason: str) -> int:
    """Enter a person by hand, with a role, and return their id. No sync archives them until the SIS knows them. A
    number counts as a number of the school's connection, so the SIS's record with this number and name is linked to
    this person."""
    for name in fields:
        if name not in MEMBERSHIP_FIELDS:
            _check_field(name)
    lock_district(conn, school.district_id)
    own = {name: value for name, value in fields.items() if name in PERSON_FIELDS}
    if own.get("number"):
        kind = "student" if fields["role"] == "student" else "staff"
        own |= {"number_kind": kind, "number_connection_id": school.connection.id}
    names, values = "".join(f", {name}" for name in own), "".join(f", :{name}" for name in own)
    entered = f"insert into person (district_id{names}) values (:district{values}) returning id"  # noqa: S608 - checked names
    person_id = int(conn.execute(text(entered), own | {"district": school.district_id}).scalar_one())
    joined = (
        "insert into membership (district_id, school_id, person_id, role, grade, status) "
        "values (:district, :school, :person, :role, :grade, 'active')"
    )
    given = school.ids | {"person": person_id, "role": fields["role"], "grade": fields.get("grade")}
    conn.execute(text(joined), given)
    audit.record(conn, who, "person added", school=school, person_id=person_id, reason=reason)
    return person_id


def _check_field(name: str) -> None:
    if name not in PERSON_FIELDS:
        raise NoSuchField(name)


def _locked(conn: Connection, district_id: int, person_id: int) -> dict[str, Any]:
    lock_district(conn, district_id)
    given = {"district": district_id, "person": person_id}
    if conn.scalar(text("select id from person where district_id = :district and id = :person"), given) is None:
        raise UnknownPerson(person_id)
    return given


def _touched(
    conn: Connection,
    given: dict[str, Any],
    what: str,
    who: str,
    reason: str,
    details: dict[str, Any] | None = None,
    *,
    pairs: str = "",
) -> None:
    """Raise the revision of a person, set these columns, and note the edit. pairs: `column = value, `."""
    changed = f"update person set {pairs}revision = revision + 1 where district_id = :district and id = :person"  # noqa: S608 - checked names
    conn.execute(text(changed), given)
    whom = {"district_id": given["district"], "person_id": given["person"]}
    audit.record(conn, who, what, reason=reason, details=details, **whom)
