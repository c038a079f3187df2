"""`roster school`: the schools that are rostered, and everything an owner chooses for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roster_pipeline.cli.commands import AsJson, ManyOptions, SchoolKey, Who, examples, group, open_directory, who_asks
from roster_pipeline.cli.connections import report_saved, warn_untested
from roster_pipeline.cli.districts import valid_key
from roster_pipeline.cli.output import note, print_facts, print_json, print_table
from roster_pipeline.cli.setting_options import SCHOOL_OPTIONS, new_school, school_settings, with_options
from roster_pipeline.settings.fields import ROLES
from roster_pipeline.vocabulary import counted

if TYPE_CHECKING:
    from roster_pipeline.directory.tenants import SchoolRow
    from roster_pipeline.settings.school import RoleSettings

school = group("Schools: which roles are rostered, what a sync may do, when it runs and who hears of it.")


@school.command(
    "add",
    cls=ManyOptions,
    epilog=examples(
        "roster school add lincoln-high --connection sis --school-id 4711 --name 'Lincoln High' --students --teachers",
        "roster school add oak --connection sis --school-id 12 --name Oak --students --students-auto-update "
        "--students-archive --automatic --time-zone America/Chicago --report-to it@example.org",
        "roster school add --file schools.csv --connection sis --students --time-zone America/Chicago",
    ),
)
@with_options(SCHOOL_OPTIONS)
def add(
    key: Annotated[
        str | None, typer.Argument(metavar="SCHOOL", help="A short key: lower-case letters, digits, hyphens.")
    ] = None,
    connection: Annotated[str | None, typer.Option("--connection", help="The connection to its SIS.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The school's name, for reports.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            exists=True,
            dir_okay=False,
            help="Add every school of a CSV file, or none. Columns: school, name, connection, school-id and options.",
        ),
    ] = None,
    who: Who = None,
    **chosen: Any,
) -> None:
    """Add a school, or all schools of a file. Nothing is fetched before the first sync."""
    if file is not None:
        if key or name or chosen["school_id"]:
            raise typer.BadParameter("--file names the schools; leave SCHOOL, --name and --school-id out")
        _add_file(file, connection, chosen, who_asks(who))
        return
    if not (key and connection and name):
        raise typer.BadParameter("give SCHOOL, --connection and --name, or a file of schools: --file")
    if not chosen["school_id"]:
        raise typer.BadParameter("give the School ID, the sourcedId of the school's org in the SIS: --school-id")
    from roster_pipeline.services.school_changes import add_school

    with open_directory() as database:
        with database.begin() as conn:
            settings = school_settings(new_school(conn, connection), chosen)
            row = add_school(conn, connection, valid_key(key), name, settings, who=who_asks(who))
        _note_added([row])
    note(f"School {key} added. Next: roster test-connection {key}")


def _add_file(file: Path, connection: str | None, chosen: dict[str, Any], who: str) -> None:
    from roster_pipeline.cli.school_file import Problems, read_schools
    from roster_pipeline.services.school_changes import add_schools

    problems = Problems(file)
    with open_directory() as database:
        with database.begin() as conn:
            wanted = read_schools(file, connection, chosen, problems, lambda source: new_school(conn, source))
            rows, refused = add_schools(conn, wanted, who=who)
            for line, problem in refused:
                problems.note_refused(line, problem)
            problems.refuse()
        _note_added(rows)
    note(
        f"{counted(len(rows), 'school', 'schools')} added. Next, for each school, as for the first: "
        f"roster test-connection {rows[0].key}"
    )


def _note_added(rows: list[SchoolRow]) -> None:
    """Make the partitions of new schools; say which have no role yet and which run untested."""
    from roster_pipeline.defs.partitions import add_partitions
    from roster_pipeline.services.connection_test_state import runs_untested

    add_partitions([row.key for row in rows])
    without = [row.key for row in rows if not row.settings.rostered]
    if without:
        example = f"roster school set {without[0]} --students --teachers"
        note(f"No role is rostered yet of {', '.join(without)}; for example: {example}")
    warn_untested([row.key for row in rows if runs_untested(row)])


@school.command(
    "set",
    cls=ManyOptions,
    epilog=examples(
        "roster school set oak --students-archive --guard archive_share=0.2",
        "roster school set oak --blackout 2027-06-20:2027-08-10 --map ext:officeStaff=staff",
    ),
)
@with_options(SCHOOL_OPTIONS)
def set_(
    key: SchoolKey,
    name: Annotated[str | None, typer.Option("--name", help="The school's name, for reports.")] = None,
    who: Who = None,
    **chosen: Any,
) -> None:
    """Change a school's settings; options that are not given change nothing."""
    from roster_pipeline.directory import tenants
    from roster_pipeline.services.save_settings import save_school

    with open_directory() as database:
        with database.begin() as conn:
            row = tenants.get_school(conn, key)
        settings = school_settings(row.settings.model_dump(mode="json"), chosen)
        result = save_school(database, key, settings, who=who_asks(who), name=name or None, seen=row.revision)
    report_saved(f"School {key}", result)


@school.command("list")
def list_(
    district: Annotated[str | None, typer.Option("--district", help="Only the schools of this district.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the schools and what is switched on."""
    from roster_pipeline.directory import tenants

    with open_directory() as database, database.begin() as conn:
        rows = tenants.list_schools(conn, district)
    if as_json:
        print_json([as_data(row) for row in rows])
        return
    print_table(
        ["school", "name", "district", "connection", "rostered", "sync time", "report"],
        [
            (
                row.key,
                row.name,
                row.district_key,
                row.connection.key,
                [role for role in ROLES if getattr(row.settings, role).rostered],
                f"{row.settings.sync_time:%H:%M} {row.settings.time_zone}" if row.settings.automatic else "by hand",
                row.settings.report_to,
            )
            for row in rows
        ],
    )


@school.command("show", epilog=examples("roster school show oak --json"))
def show(key: SchoolKey, as_json: AsJson = False) -> None:
    """Show every setting of a school."""
    from roster_pipeline.directory import tenants

    with open_directory() as database, database.begin() as conn:
        row = tenants.get_school(conn, key)
    if as_json:
        print_json(as_data(row))
        return
    plain = row.settings.model_dump(mode="json")
    facts = {"school": row.key, "name": row.name, "district": row.district_key, "connection": row.connection.key}
    roles = {role: switches(getattr(row.settings, role)) for role in ROLES}
    rest = {name.replace("_", " "): value for name, value in plain.items() if name not in (*ROLES, "guards")}
    print_facts(facts | roles | rest | {f"guard {name}": value for name, value in plain["guards"].items()})


@school.command("resume", epilog=examples("roster school resume oak"))
def resume(key: SchoolKey, who: Who = None) -> None:
    """Resume the scheduled syncs of a school that was paused after a week of failures."""
    from roster_pipeline.services.school_changes import resume_school

    with open_directory() as database, database.begin() as conn:
        paused = resume_school(conn, key, who=who_asks(who))
    resumed = f"The scheduled syncs of school {key} are resumed. The next one is at its next sync time."
    note(resumed if paused else f"School {key} was not paused.")


def as_data(row: SchoolRow) -> dict[str, Any]:
    """A school as plain data."""
    return {
        "key": row.key,
        "name": row.name,
        "district": row.district_key,
        "connection": row.connection.key,
        "settings": row.settings.model_dump(mode="json"),
        "test": row.test,
    }


def switches(role: RoleSettings) -> str:
    """The switches of a role in words: `rostered, auto update, archive`."""
    if not role.rostered:
        return "not rostered"
    return ", ".join(["rostered"] + ["auto update"] * role.auto_update + ["archive"] * role.archive)
