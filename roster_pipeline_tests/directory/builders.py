"""Districts, schools, snapshots, and plans from rows with only the values that matter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypedDict

import orjson
import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory import apply, manual_edits, plans, pulls, snapshots, tenant_changes, tenants
from roster_pipeline.directory import relink as relinking
from roster_pipeline.directory import rollback as rollbacks
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import ROSTER_COLUMNS
from roster_pipeline.planning.plan import says_nothing
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

ROLES = ("student", "teacher", "staff", "admin")
CHANGING = ("create", "update", "restore", "archive")
PROOF: dict[str, Any] = {"complete": True, "mode": "full", "version": "1.2", "problems": []}
_numbers = count(1)
Do = Callable[[Connection], object]


class Decision(TypedDict):
    """Who decides, and why: the last arguments of every manual edit."""

    who: str
    reason: str


BY = Decision(who="owner", reason="asked to")


def apply_plan(
    database: Database, plan_id: int, *, also: Callable[[Connection, SyncResult], None] | None = None, **how: Any
) -> SyncResult:
    """Apply a plan in a transaction of its own. also: called at its end."""
    with database.begin() as conn:
        result = apply.apply_plan(conn, plan_id, **how)
        if also is not None:
            also(conn, result)
        return result


def relink(database: Database, plan_id: int, **how: Any) -> SyncResult:
    """Relink the people of a plan in a transaction of its own."""
    return database.call(relinking.relink, plan_id, **how)


def roll_back(database: Database, sync_id: int, **how: Any) -> SyncResult:
    """Undo a sync in a transaction of its own."""
    return database.call(rollbacks.roll_back, sync_id, **how)


@dataclass(frozen=True)
class Page:
    """One page of a pull."""

    kind: Literal["org", "user"]
    records: list[dict[str, Any]]
    rejects: list[dict[str, Any]] = field(default_factory=list)
    marks: Sequence[bytes | None] = ()
    known: Sequence[int] = ()


def add_school(conn: Connection, key: str, *, connection: str = "sis", district: str = "springfield") -> SchoolRow:
    """A school; its district and connection are made if they are missing."""
    if district not in [row.key for row in tenants.list_districts(conn)]:
        tenant_changes.add_district(conn, district, district.title())
    if connection not in [row.key for row in tenants.list_connections(conn)]:
        settings = ConnectionSettings(url="https://sis.example.org/ims/oneroster")
        tenant_changes.add_connection(conn, district, connection, settings, "env:NOWHERE")
    return tenant_changes.add_school(conn, connection, key, key.title(), SchoolSettings(school_id=f"org-{key}"))


def user(sourced_id: str, *orgs: str, role: str = "student", **more: Any) -> dict[str, Any]:
    """A normalised record."""
    roles = [{"role": role, "roleType": None, "org": org, "beginDate": None, "endDate": None} for org in orgs]
    plain = {"sourcedId": sourced_id, "status": "active", "givenName": "Ada", "agents": [], "roles": roles}
    return plain | more


def org(sourced_id: str, **more: Any) -> dict[str, Any]:
    """A normalised org."""
    return {"sourcedId": sourced_id, "name": sourced_id, "type": "school", "identifier": None, "parent": None} | more


def records(documents: bytes) -> list[dict[str, Any]]:
    """Documents as `snapshots.load` gives them, in the order of their sourcedIds."""
    return sorted(map(orjson.loads, documents.splitlines()), key=lambda record: str(record["sourcedId"]))


def pull_of(database: Database, school: SchoolRow, *pages: Page, proof: Mapping[str, Any] = PROOF) -> int:
    """A stored, finished pull."""
    pull_id, _ = database.call(pulls.claim, school.connection, f"night {next(_numbers)}")
    pulls.store(database, pull_id, pages)
    database.call(pulls.finish, pull_id, proof)
    return pull_id


def snapshot_of(database: Database, school: SchoolRow, *users: dict[str, Any]) -> int:
    """A snapshot of a school with these users."""
    own = org(school.settings.school_id)
    pull_id = pull_of(database, school, Page("org", [own]), Page("user", list(users)))
    return database.call(snapshots.take, school, own["sourcedId"], pull_id, contacts=True, run_id=None)


NOBODY = pd.DataFrame(columns=ROSTER_COLUMNS).astype({"identity": "Int64"})
"""A cleaned roster without records."""


def clean_records(conn: Connection, snapshot_id: int, *records: dict[str, Any]) -> None:
    """Records of the cleaned roster of a snapshot, column to value; by default they are members."""
    begin = """
        with begun as (
            insert into roster (school_id)
            select school_id from snapshot where id = :id and roster_id is null returning id
        )
        update snapshot s set roster_id = coalesce(s.roster_id, (select id from begun)), roster_version = 0
        where id = :id returning roster_id
    """
    roster = conn.execute(text(begin), {"id": snapshot_id}).scalar_one()
    for record in records:
        values = {"roster_id": roster, "record_status": "member"} | record
        conn.execute(text(f"insert into roster_row ({', '.join(values)}) values (:{', :'.join(values)})"), values)


def row(action: str, person_id: int | None = None, **more: Any) -> dict[str, Any]:
    """A plan row: `changes` are given as {field: new value}, links as a list."""
    changes = {name: [None, value] for name, value in more.pop("changes", {}).items()}
    links = more.pop("links", [])
    plain = {
        "action": action,
        "reason": "joined",
        "role": "student",
        "person_id": person_id,
        "sourced_ids": links,
        "new_links": links if action == "create" else [],
        "matched_by": None,
        "changes": changes,
        "number_kind": "student",
        "absent_syncs": None,
        "person_revision": None,
        "membership_revision": None,
        "witness": None,
    }
    return plain | more


def newcomer(sourced_id: str, given_name: str = "Ada", **more: Any) -> dict[str, Any]:
    """The row that creates one student."""
    changes = {"given_name": given_name, "family_name": "Lovelace", "role": "student", **more.pop("changes", {})}
    return row("create", changes=changes, links=[sourced_id], **more)


def write_plan(
    database: Database,
    school: SchoolRow,
    rows: Sequence[dict[str, Any]],
    *,
    held: Mapping[tuple[str, str], list[dict[str, Any]]] | None = None,
    snapshot_id: int | None = None,
    hash_: str | None = None,
    judged: bool = True,
    dry_run: bool = False,
    position: int | None = None,
) -> int:
    """A plan. A row without revisions or old primary record gets those of the directory."""
    snapshot_id = snapshot_id or snapshot_of(database, school)
    held = held or {}
    with database.begin() as conn:
        school = tenants.get_school(conn, school.key)  # with the settings of today
        _fill_revisions(conn, school, rows)
        here = conn.scalar(text("select coalesce(max(position), 0) from change_log")) if position is None else position
        verdicts = [
            {
                "role": role,
                "action": action,
                "verdict": "hold" if (role, action) in held else "pass",
                "rows": sum(1 for each in rows if (each["role"], each["action"]) == (role, action)),
                "findings": held.get((role, action), []),
            }
            for role in ROLES
            for action in CHANGING
        ]
        frame = pd.DataFrame([{"notes": None} | each | {"row": place} for place, each in enumerate(rows)])
        return plans.write(
            conn,
            school,
            snapshot_id,
            frame,
            pd.DataFrame(verdicts if judged else []),
            hash_=hash_ or f"hash {next(_numbers)}",
            counts={},
            first_sync=False,
            position=int(here or 0),
            dry_run=dry_run,
            run_id=None,
            listed=says_nothing(frame) if rows else None,
        )


def sync_rows(database: Database, school: SchoolRow, *rows: dict[str, Any], **more: Any) -> SyncResult:
    """Plan and apply."""
    return apply_plan(database, write_plan(database, school, rows, **more), who="test")


def every_edit(school: SchoolRow, person: int) -> dict[str, Do]:
    """Every kind of edit by hand under its audit word, in an order in which all can be made."""
    district, source = school.district_id, school.connection
    return {
        "link confirmed": lambda conn: manual_edits.link(conn, source, person, "u1", **BY),
        "record linked": lambda conn: manual_edits.link(conn, source, person, "u2", **BY),
        "primary record chosen": lambda conn: manual_edits.set_primary_record(conn, source, person, "u2", **BY),
        "record unlinked": lambda conn: manual_edits.unlink(conn, source, person, "u2", **BY),
        "person excluded": lambda conn: manual_edits.set_excluded(conn, district, person, True, **BY),
        "person included": lambda conn: manual_edits.set_excluded(conn, district, person, False, **BY),
        "field locked": lambda conn: manual_edits.set_lock(conn, district, person, "email", True, **BY),
        "field unlocked": lambda conn: manual_edits.set_lock(conn, district, person, "email", False, **BY),
        "person edited": lambda conn: manual_edits.edit(
            conn, district, person, {"phone": "+1", "email": None, "enabled": False}, **BY
        ),
        "membership archived": lambda conn: manual_edits.set_archived(conn, school, person, True, **BY),
        "membership active": lambda conn: manual_edits.set_archived(conn, school, person, False, **BY),
    }


def by_hand(database: Database, school: SchoolRow, given: str = "Ada", family: str = "Lovelace", **more: Any) -> int:
    """A student whom somebody entered by hand."""
    with database.begin() as conn:
        fields = {"given_name": given, "family_name": family, "role": "student"} | more
        return manual_edits.add(conn, school, fields, **BY)


def one(database: Database, query: str, **given: Any) -> Any:
    """The first value of a query."""
    with database.begin() as conn:
        return conn.scalar(text(query), given)


def every(database: Database, query: str, **given: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with database.begin() as conn:
        return [tuple(found) for found in conn.execute(text(query), given)]


def refused(database: Database, statement: str, **given: Any) -> DirectoryError | None:
    """Why a statement, or several without values, is refused; None if it is executed."""
    try:
        with database.begin() as conn:
            if given:
                conn.execute(text(statement), given)
            else:
                conn.connection.driver_connection.execute(statement)  # type: ignore[union-attr]
    except DirectoryError as problem:
        return problem
    return None


def person_of(database: Database, sourced_id: str) -> int:
    """The person that a sourcedId is linked to."""
    return int(one(database, "select person_id from link where sourced_id = :id", id=sourced_id))


def _fill_revisions(conn: Connection, school: SchoolRow, rows: Sequence[dict[str, Any]]) -> None:
    for each in rows:
        given = {"person": each["person_id"], "school": school.id}
        if each["person_id"] is not None and each["person_revision"] is None:
            each["person_revision"] = conn.scalar(text("select revision from person where id = :person"), given)
        if each["person_id"] is not None and each["membership_revision"] is None:
            query = "select revision from membership where person_id = :person and school_id = :school"
            each["membership_revision"] = conn.scalar(text(query), given)
        if each["person_id"] is not None and "primary_record" in each["changes"]:
            query = "select sourced_id from link where person_id = :person and is_primary"
            each["changes"]["primary_record"][0] = conn.scalar(text(query), given)
