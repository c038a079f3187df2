"""`roster pause`, `roster guard` and `roster leavers`: what people announce before it happens."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from roster_pipeline.cli.commands import (
    AsJson,
    Reason,
    SchoolKey,
    Who,
    examples,
    given_reason,
    group,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import note, print_json, print_table
from roster_pipeline.vocabulary import counted, day

guard = group("Guards: the limits of a school's guards.")
leavers = group("Leavers: people who were announced to leave. They count for no guard once they are gone.")
Until = Annotated[
    datetime,
    typer.Option("--until", formats=["%Y-%m-%d"], metavar="DATE", help="The last day of the higher limit, included."),
]


def pause(
    until: Annotated[
        datetime, typer.Option("--until", formats=["%Y-%m-%d"], metavar="DATE", help="The first day with syncs again.")
    ],
    reason: Reason,
    key: Annotated[str | None, typer.Argument(metavar="SCHOOL", help="The key of a school.")] = None,
    district: Annotated[str | None, typer.Option("--district", help="All schools of this district instead.")] = None,
    who: Who = None,
) -> None:
    """Let the schedule start nothing in a school, or in a district, before this day. Syncs by hand still work."""
    from roster_pipeline.services import school_changes

    if (key is None) == (district is None):
        raise typer.BadParameter("give a school, or --district")
    first = until.date()
    given = {"who": who_asks(who), "reason": given_reason(reason)}
    with open_directory() as database, database.begin() as conn:
        school_changes.pause(conn, first, school=key, district=district, **given)
    end = f"roster school resume {key}" if key else f"roster district resume {district}"
    note(f"{key or district} is paused until {day(first)}. End it earlier: {end}")


@guard.command(
    "raise", epilog=examples("roster guard raise oak archive_share 0.4 --until 2026-08-31 --reason 'two classes leave'")
)
def raise_(
    key: SchoolKey,
    name: Annotated[str, typer.Argument(metavar="LIMIT", help="The setting, such as archive_share.")],
    value: Annotated[float, typer.Argument(metavar="VALUE", help="The higher limit: a share of 0 to 1, or a number.")],
    until: Until,
    reason: Reason,
    who: Who = None,
) -> None:
    """Raise one limit until a day, which is included. Then it goes back by itself."""
    from roster_pipeline.services import school_changes

    last = until.date()
    with open_directory() as database, database.begin() as conn:
        school_changes.raise_limit(conn, key, name, value, last, who=who_asks(who), reason=given_reason(reason))
    note(f"{key}: {name} is {value:g} until {day(last)}, this day included.")


@guard.command("lower", epilog=examples("roster guard lower oak"))
def lower(key: SchoolKey, who: Who = None) -> None:
    """End all raises of a school's limits now."""
    from roster_pipeline.services import school_changes

    with open_directory() as database, database.begin() as conn:
        done = school_changes.lower_limits(conn, key, who=who_asks(who))
    limits = counted(done, "raised limit is", "raised limits are")
    note(f"{key}: {limits} as in the settings again.")


@leavers.command(
    "add",
    epilog=examples(
        "roster leavers add oak 4711 4712 --day 2026-07-31 --reason 'the last class'",
        "roster leavers add oak --file leavers.csv --day 2026-07-31 --reason 'the last class'",
    ),
)
def add(
    key: SchoolKey,
    leaves: Annotated[
        datetime, typer.Option("--day", formats=["%Y-%m-%d"], metavar="DATE", help="The day on which they leave.")
    ],
    reason: Reason,
    people: Annotated[
        list[str] | None, typer.Argument(metavar="PEOPLE", help="Numbers, sourcedIds, e-mails or user names.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A text or CSV file with one such column.")] = None,
    who: Who = None,
) -> None:
    """Announce people who leave on a day. An announcement archives nobody."""
    from roster_pipeline.directory import tenants
    from roster_pipeline.services import decisions as service

    words = "\n".join([*(people or ()), *([file.read_text(encoding="utf-8-sig")] if file else [])])
    given = {"who": who_asks(who), "reason": given_reason(reason)}
    with open_directory() as database, database.begin() as conn:
        done = service.announce(conn, tenants.get_school(conn, key), words, leaves.date(), **given)
    note(f"{key}: {counted(done.people, 'person is', 'people are')} announced as leaving on {day(leaves.date())}.")
    if done.unknown:
        note(f"Nobody in this school has: {', '.join(done.unknown)}")
    if done.several:
        note(f"Several people have, so use the sourcedId: {', '.join(done.several)}")


@leavers.command("list", epilog=examples("roster leavers list oak"))
def list_(key: SchoolKey, as_json: AsJson = False) -> None:
    """List the announced leavers of a school."""
    from roster_pipeline.directory import announced_leavers, tenants

    with open_directory() as database, database.begin() as conn:
        found = announced_leavers.of_school(conn, tenants.get_school(conn, key).id, limit=10_000)
    if as_json:
        print_json([vars(one) | {"day": one.day.isoformat()} for one in found])
        return
    print_table(
        ["person", "name", "role", "leaves on", "now", "by", "reason"],
        [(one.person_id, one.name, one.role, one.day, one.status, one.who, one.reason) for one in found],
    )


@leavers.command("remove", epilog=examples("roster leavers remove oak --person 17", "roster leavers remove oak --all"))
def remove(
    key: SchoolKey,
    person: Annotated[list[int] | None, typer.Option("--person", help="The person's number. Repeat for more.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of the school.")] = False,
    who: Who = None,
) -> None:
    """Take announcements back."""
    from roster_pipeline.directory import announced_leavers, tenants

    if every == bool(person):
        raise typer.BadParameter("give --person, or --all")
    with open_directory() as database, database.begin() as conn:
        done = announced_leavers.withdraw(conn, tenants.get_school(conn, key), None if every else person, who_asks(who))
    note(f"{key}: {counted(done, 'announcement was', 'announcements were')} taken back.")
