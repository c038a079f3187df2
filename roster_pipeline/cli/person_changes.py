"""`roster person`: syncs of one person, and manual changes of people. Every change needs a reason, which the audit
keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import sqlalchemy as sa
import typer

from roster_pipeline.cli.commands import (
    AsJson,
    Reason,
    SchoolKey,
    Who,
    Yes,
    confirm,
    examples,
    given_reason,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import note, print_json, print_table, shown
from roster_pipeline.cli.persons import District, Number, district_of, pairs, person
from roster_pipeline.directory import accounts, operations, plans, tenants
from roster_pipeline.services import people_upload, person_changes, plan_rows, possible_duplicates
from roster_pipeline.sync import one_person
from roster_pipeline.vocabulary import counted

ConnectionKey = Annotated[str, typer.Option("--connection", help="The connection whose SIS has the record.")]
Record = Annotated[str, typer.Argument(metavar="SOURCED_ID", help="sourcedId of the record in the SIS.")]
School = Annotated[str, typer.Option("--school", help="The school of the membership.")]
Field = Annotated[str, typer.Argument(help="The name of a field; see: roster person show PERSON")]
Other = Annotated[int, typer.Argument(metavar="OTHER", help="The number of the other person.")]
__all__ = ["person"]


@person.command(
    "sync",
    epilog=examples(
        "roster person sync 42 --school oak", "roster person sync 42 --school oak --apply --reason 'asked for it'"
    ),
)
def sync_person(
    number: Number,
    school: Annotated[str, typer.Option("--school", help="The school whose SIS is asked.")],
    do: Annotated[bool, typer.Option("--apply", help="Do it. Without it, only the changes are shown.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the audit. Needed with --apply.")] = "",
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Ask the SIS for this person alone, show what would change, and apply it."""
    why = given_reason(reason) if do else ""
    with open_directory() as database:
        asked = one_person.make_plan(database, school, number)
        with database.begin() as conn:
            rows = plan_rows.lines(conn, plans.get(conn, asked.plan_id))
        result = one_person.apply_plan(database, school, asked.plan_id, who=who_asks(who), reason=why) if do else None
    if as_json:
        changes = [{"action": row.action, "why": row.why, "held": row.held, "changes": row.readable} for row in rows]
        outcome = result.outcome if result else None
        print_json(
            {"said": dict(asked.answers), "rows": changes, "outcome": outcome, "sync": result and result.sync_id}
        )
        return
    for record, state in asked.answers.items():
        note(f"The SIS on record {record}: {state}.")
    print_table(
        ["what", "from, to", "why"],
        [
            (
                f"{row.action}{', held' if row.held else ''}",
                "\n".join(f"{name}: {shown(old)} -> {shown(new)}" for name, (old, new) in row.readable.items()),
                row.why,
            )
            for row in rows
        ],
    )
    if result is None:
        note("Nothing was changed. To do it, add --apply and --reason.")
    elif result.outcome == "applied":
        note(f"Synced: sync {result.sync_id}. To undo it: roster rollback {result.sync_id}")
    elif result.outcome == "held":
        note("A guard held the change, so nothing was done. See: roster hold list")
    else:
        note("Nothing had to change.")


@contextmanager
def _by_hand(who: str | None, reason: str) -> Iterator[tuple[sa.Connection, dict[str, str]]]:
    by = {"who": who_asks(who), "reason": given_reason(reason)}
    with open_directory() as database, database.begin() as conn:
        yield conn, by


def _do(change: Callable[..., str], *what: object, who: str | None, reason: str) -> None:
    """Make one change in a transaction, then print what was done. change: a function of `services`."""
    with _by_hand(who, reason) as (conn, by):
        done = change(conn, *what, **by)
    note(done)


def _do_in(
    district: str | None, change: Callable[..., str], *what: object, who: str | None, reason: str, **more: object
) -> None:
    """The same for a change that needs the number of the person's district."""
    with _by_hand(who, reason) as (conn, by):
        done = change(conn, district_of(conn, district).id, *what, **more, **by)
    note(done)


def _set_archived(
    school: str, district: str | None, number: int, archived: bool, *, who: str | None, reason: str
) -> None:
    """The same for a membership. Raises UnknownKey if the school is not one of the given district."""
    with _by_hand(who, reason) as (conn, by):
        if district is not None and tenants.get_school(conn, school).district_key != district:
            raise tenants.UnknownKey("school", school)
        done = person_changes.set_archived(conn, school, number, archived, **by)
    note(done)


@person.command("link", epilog=examples("roster person link 42 u-1003 --connection sis --reason 'same person'"))
def link(number: Number, record: Record, connection: ConnectionKey, reason: Reason, who: Who = None) -> None:
    """Say that a record of the SIS is this person, even if somebody unlinked it before."""
    _do(person_changes.link, connection, number, record, who=who, reason=reason)


@person.command("unlink", epilog=examples("roster person unlink 42 u-1003 --connection sis --reason 'a namesake'"))
def unlink(number: Number, record: Record, connection: ConnectionKey, reason: Reason, who: Who = None) -> None:
    """Say that a record of the SIS is not this person; no sync links the two again."""
    _do(person_changes.unlink, connection, number, record, who=who, reason=reason)


@person.command(
    "primary-record",
    epilog=examples("roster person primary-record 42 u-1003 --connection sis --reason 'their new school'"),
)
def primary_record(number: Number, record: Record, connection: ConnectionKey, reason: Reason, who: Who = None) -> None:
    """Choose the primary record, which the person's fields follow, even if another one ranks first."""
    _do(person_changes.set_primary_record, connection, number, record, who=who, reason=reason)


@person.command("unlink-leavers", epilog=examples("roster person unlink-leavers oak --reason 'new ids every year'"))
def unlink_leavers(key: SchoolKey, reason: Reason, who: Who = None) -> None:
    """Unlink every leaver whose SIS id came as somebody else in the newest plan."""
    with _by_hand(who, reason) as (conn, by):
        plan_id, found = person_changes.unlink_leavers(conn, key, **by)
    if not found:
        note(f"In plan {plan_id} no id of a leaver came as somebody else.")
        return
    lost = counted(found, "person who left lost their SIS id", "people who left lost their SIS ids")
    note(f"{lost}, because somebody else has it now. The next sync creates the new people: roster sync {key}")


@person.command("exclude", epilog=examples("roster person exclude 42 --reason 'kept by hand'"))
def exclude(number: Number, reason: Reason, district: District = None, who: Who = None) -> None:
    """Keep every sync away from this person."""
    _do_in(district, person_changes.set_excluded, number, True, who=who, reason=reason)


@person.command("include", epilog=examples("roster person include 42 --reason 'back to normal'"))
def include(number: Number, reason: Reason, district: District = None, who: Who = None) -> None:
    """Let syncs change this person again."""
    _do_in(district, person_changes.set_excluded, number, False, who=who, reason=reason)


@person.command("lock", epilog=examples("roster person lock 42 email --reason 'the SIS has an old one'"))
def lock(number: Number, field: Field, reason: Reason, district: District = None, who: Who = None) -> None:
    """Keep one field as it is, even if the SIS differs."""
    _do_in(district, person_changes.set_lock, number, field, True, who=who, reason=reason)


@person.command("unlock", epilog=examples("roster person unlock 42 email --reason 'corrected in the SIS'"))
def unlock(number: Number, field: Field, reason: Reason, district: District = None, who: Who = None) -> None:
    """Let one field follow the SIS again."""
    _do_in(district, person_changes.set_lock, number, field, False, who=who, reason=reason)


@person.command("edit", epilog=examples("roster person edit 42 --set email=ada@example.org --reason 'new address'"))
def edit(
    number: Number,
    fields: Annotated[list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Repeat for more; empty clears.")],
    reason: Reason,
    locked: Annotated[
        bool, typer.Option("--lock/--no-lock", help="Lock the fields, so that no sync sets them back. Default: lock.")
    ] = True,
    district: District = None,
    who: Who = None,
) -> None:
    """Set fields by hand; they are locked too, or the next sync would set them back."""
    typed = pairs("--set", fields)
    _do_in(district, person_changes.edit, number, typed, locked=locked, who=who, reason=reason)


@person.command("archive", epilog=examples("roster person archive 42 --school oak --reason 'left today'"))
def archive(number: Number, school: School, reason: Reason, district: District = None, who: Who = None) -> None:
    """Archive a membership by hand; syncs leave it archived."""
    _set_archived(school, district, number, True, who=who, reason=reason)


@person.command("restore", epilog=examples("roster person restore 42 --school oak --reason 'archived by mistake'"))
def restore(number: Number, school: School, reason: Reason, district: District = None, who: Who = None) -> None:
    """Bring an archived membership back by hand."""
    _set_archived(school, district, number, False, who=who, reason=reason)


@person.command("undo", epilog=examples("roster person undo 42 1234 --reason 'the wrong pupil'"))
def undo(
    number: Number,
    edit: Annotated[int, typer.Argument(metavar="EDIT", help="Its number; see: roster person show PERSON --history")],
    reason: Reason,
    district: District = None,
    who: Who = None,
) -> None:
    """Undo one edit by hand, if nothing has changed the same values since."""
    _do_in(district, person_changes.undo, number, edit, who=who, reason=reason)


@person.command("merge", epilog=examples("roster person merge 42 57 --reason 'entered twice'"))
def merge(number: Number, other: Other, reason: Reason, district: District = None, who: Who = None) -> None:
    """Make one person of two: everything of OTHER moves to PERSON, and PERSON is kept."""
    _do_in(district, possible_duplicates.merge, number, other, who=who, reason=reason)


@person.command("unmerge", epilog=examples("roster person unmerge 42 --reason 'two people after all'"))
def unmerge(number: Number, reason: Reason, district: District = None, who: Who = None) -> None:
    """Undo the newest merge of a person. Later changes by syncs stay."""
    _do_in(district, possible_duplicates.undo_merge, number, who=who, reason=reason)


@person.command("distinct", epilog=examples("roster person distinct 42 57 --reason 'father and son'"))
def distinct(
    number: Number,
    other: Other,
    reason: Reason,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    district: District = None,
    who: Who = None,
) -> None:
    """Say that two people are two: they are not proposed as duplicates again, and cannot be merged."""
    _do_in(district, possible_duplicates.set_distinct, number, other, not undo, who=who, reason=reason)


@person.command("erase", epilog=examples("roster person erase 42 --reason 'asked to be forgotten'"))
def erase(number: Number, reason: Reason, district: District = None, who: Who = None, yes: Yes = False) -> None:
    """Delete everything held of a person, for good. Erase them in the SIS first, or the next sync brings them back."""
    with _by_hand(who, reason) as (conn, by):
        owner = district_of(conn, district).id
        operations.check_erasable(conn, owner, number)
        confirm(f"Erase person {number} for good?", yes=yes)
        done = person_changes.erase(conn, owner, number, **by)
    note(done)


@person.command(
    "add",
    epilog=examples(
        "roster person add --school oak --role teacher --set given_name=Ada --set family_name=Byron --reason 'a guest'"
    ),
)
def add(
    school: Annotated[str, typer.Option("--school", help="The school they join.")],
    role: Annotated[str, typer.Option("--role", help="student, teacher, staff or admin.", metavar="ROLE")],
    fields: Annotated[list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Repeat for more.")],
    reason: Reason,
    grade: Annotated[str, typer.Option("--grade", help="The grade of a student, for example 09.")] = "",
    somebody_else: Annotated[
        bool, typer.Option("--somebody-else", help="Enter them although somebody here may be the same person.")
    ] = False,
    who: Who = None,
) -> None:
    """Enter somebody by hand who is not in the SIS. No sync archives them until the SIS knows them."""
    typed = pairs("--set", fields) | {"role": role, "grade": grade}
    with _by_hand(who, reason) as (conn, by):
        row, reader = tenants.get_school(conn, school), accounts.COMMAND_LINE
        number = people_upload.add(conn, row, typed, reader=reader, sure=somebody_else, **by)
    note(f"Person {number} is entered in {school}.")
