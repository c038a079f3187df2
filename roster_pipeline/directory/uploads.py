"""Uploaded lists of people: they are kept until they are applied. Each set is applied as a sync of its own. A list is
kept for a day at most, because it holds people's data. A rollback can undo it like any sync."""

# ruff: noqa: S608 - what is put together here are our own column names

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Connection, insert, text

from roster_pipeline.directory import audit, ledger
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.tables import people_upload, sync
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.vocabulary import PERSON_FIELDS

KIND = "upload"
FORGET = "delete from people_upload where at < now() - interval '1 day'"
_TEXTS = tuple(name for name in PERSON_FIELDS if name not in ("enabled", "number"))
_STAGE = f"""
create temporary table uploading on commit drop as
select r.*, case when r.what = 'create' then nextval(pg_get_serial_sequence('person', 'id')) else r.person_id end as id,
       case r.role when 'student' then 'student' else 'staff' end as kind
from jsonb_to_recordset(cast(:rows as jsonb))
    as r (what text, person_id bigint, role text, grade text, number text,
          {", ".join(f"{name} text" for name in _TEXTS)})
"""
_PEOPLE = f"""
insert into person (id, district_id, {", ".join(_TEXTS)}, number, number_kind, number_connection_id)
select id, :district, {", ".join(_TEXTS)}, number, case when number is not null then kind end,
       case when number is not null then cast(:connection as bigint) end
from uploading where what = 'create'
"""
_MEMBERSHIPS = """
insert into membership (district_id, school_id, person_id, role, grade, status)
select :district, :school, id, role, grade, 'active' from uploading where what in ('create', 'join')
"""
_VALUES = f"""
update person p set {", ".join(f"{name} = coalesce(u.{name}, p.{name})" for name in (*_TEXTS, "number"))},
    number_kind = case when u.number is null then p.number_kind else u.kind end,
    number_connection_id = case when u.number is null then p.number_connection_id else cast(:connection as bigint) end,
    revision = p.revision + 1, updated_at = now()
from uploading u where u.what in ('join', 'update') and p.id = u.id and p.district_id = :district
"""
"""People who join a school get a new revision too, so that no earlier plan is applied to them."""
_CANDIDATES = """
select id from person where district_id = :district and lower(email) = any(:emails)
union
select id from person where district_id = :district and number_connection_id = :connection
    and number_kind in ('student', 'staff')
    and bare_number(number) = any(array(select bare_number(n) from unnest(cast(:numbers as text[])) n))
"""
_NAMES = """
select p.id, p.given_name, p.family_name
from membership m join person p on p.id = m.person_id and p.district_id = m.district_id
where m.district_id = :district and m.school_id = :school
"""


@dataclass(frozen=True)
class Upload:
    """A list that waits. columns: fields, or "". role: for rows without one. choices: by row number."""

    id: int
    header: list[str]
    rows: list[tuple[int, list[str]]]
    columns: list[str]
    role: str
    choices: Mapping[int, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """The hash of the file as it was read. Decisions count only for this hash."""
        return hash_of(self.header, self.rows, self.columns, self.role)


def hash_of(header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], columns: Sequence[str], role: str) -> str:
    """The hash of a list and of the meaning of its columns."""
    plain = [list(header), [[number, list(cells)] for number, cells in rows], list(columns), role]
    return hashlib.sha256(orjson.dumps(plain)).hexdigest()


def keep(
    conn: Connection,
    school: SchoolRow,
    header: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    columns: Sequence[str],
    role: str,
    *,
    who: str,
) -> int:
    """Keep a list until it is applied. Returns its number."""
    conn.execute(text(FORGET))
    content = {"header": list(header), "rows": list(rows), "columns": list(columns), "role": role}
    line = insert(people_upload).values(district_id=school.district_id, school_id=school.id, who=who, content=content)
    return int(conn.execute(line.returning(people_upload.c.id)).scalar_one())


def kept(conn: Connection, school: SchoolRow, upload_id: int, *, who: str) -> Upload | None:
    """A list that this person uploaded for this school within the last day."""
    query = (
        "select content from people_upload where id = :id and school_id = :school and who = :who "
        "and at > now() - interval '1 day'"
    )
    content = conn.scalar(text(query), {"id": upload_id, "school": school.id, "who": who})
    if content is None:
        return None
    rows = [(number, cells) for number, cells in content["rows"]]
    found = Upload(upload_id, content["header"], rows, content["columns"], content["role"])
    of = content.get("choices", {}).get(found.hash, {})
    return replace(found, choices={int(number): choice for number, choice in of.items()})


def choose_columns(conn: Connection, upload_id: int, columns: Sequence[str]) -> None:
    query = "update people_upload set content = content || cast(:columns as jsonb) where id = :id"
    conn.execute(text(query), {"id": upload_id, "columns": orjson.dumps({"columns": list(columns)}).decode()})


def choose(conn: Connection, upload: Upload, choices: Mapping[int, str]) -> None:
    """Store decisions about rows, by the file's hash; an empty text takes one back."""
    kept = {number: choice for number, choice in (dict(upload.choices) | dict(choices)).items() if choice}
    content = {"choices": {upload.hash: {str(number): choice for number, choice in kept.items()}}}
    query = "update people_upload set content = content || cast(:content as jsonb) where id = :id"
    conn.execute(text(query), {"id": upload.id, "content": orjson.dumps(content).decode()})


def forget(conn: Connection, upload_id: int) -> None:
    conn.execute(text("delete from people_upload where id = :id"), {"id": upload_id})


def candidates(conn: Connection, school: SchoolRow, *, emails: Sequence[str], numbers: Sequence[str]) -> list[int]:
    """People with one of these e-mails or numbers."""
    given = school.ids | {"emails": [each.lower() for each in emails], "numbers": list(numbers)}
    return sorted(conn.scalars(text(_CANDIDATES), given))


def names_of_members(conn: Connection, school: SchoolRow) -> list[tuple[int, str | None, str | None]]:
    """Number, given and family name of everybody who is or was in a school."""
    return [(row.id, row.given_name, row.family_name) for row in conn.execute(text(_NAMES), school.ids)]


def apply(
    conn: Connection, school: SchoolRow, rows: Sequence[Mapping[str, Any]], *, left: int, who: str, reason: str
) -> int:
    """Create, join and update people as one sync; returns its number. The caller holds the district's lock. rows: what
    (create, join, update), person_id, role, grade, fields. left: rows that change nothing."""
    if not rows:
        raise DirectoryError("The list changes nothing.", "Nothing was done.")
    given = school.ids | {"rows": orjson.dumps([dict(row) for row in rows]).decode()}
    sync_id = ledger.new_sync(conn)
    conn.execute(text("drop table if exists uploading"))
    for statement in (_STAGE, _PEOPLE, _MEMBERSHIPS, _VALUES):
        conn.execute(text(statement), given)
    conn.execute(text("select set_config('roster.sync_id', '', true)"))
    counted: dict[str, Counter[str]] = {}
    for row in rows:
        counted.setdefault(row["role"], Counter())["update" if row["what"] == "update" else "create"] += 1
    counts = {role: dict(actions) for role, actions in counted.items()}
    owner = {"district_id": school.district_id, "school_id": school.id}
    conn.execute(insert(sync).values(id=sync_id, kind=KIND, outcome="applied", counts=counts, who=who, **owner))
    details = {"sync": sync_id, "rows": len(rows), "left": left}
    audit.record(conn, who, "people uploaded", school=school, reason=reason, details=details)
    return sync_id
