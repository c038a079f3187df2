"""`roster district`: the tenants. Nothing is matched, read or changed across districts. `roster school`: the schools
that are rostered, and everything an owner chooses for each."""

from pathlib import Path
from typing import Annotated, Any

import typer

from roster_pipeline.cli import school_file, setting_options
from roster_pipeline.cli.commands import (
    AsJson,
    CommandError,
    ManyOptions,
    SchoolKey,
    Who,
    examples,
    group,
    open_directory,
    valid_key,
    who_asks,
)
from roster_pipeline.cli.connections import report_saved
from roster_pipeline.cli.output import note, print_facts, print_json, print_rows, print_table
from roster_pipeline.directory import audit, tenant_changes, tenants
from roster_pipeline.services import save_settings, school_changes, settings_changes
from roster_pipeline.settings import school as school_settings
from roster_pipeline.settings.fields import DISTRICT, ROLES
from roster_pipeline.vocabulary import counted

district = group("Districts: each owns its connections, schools and people.")

school = group("Schools: which roles are rostered, what a sync may do, when it runs and who gets the report.")


@district.command("add", epilog=examples("roster district add springfield --name 'Springfield Public Schools'"))
def add_district(
    key: Annotated[str, typer.Argument(help="A short key: lower-case letters, digits and hyphens.")],
    name: Annotated[str, typer.Option("--name", help="The district's full name.")],
    who: Who = None,
) -> None:
    """Add a district."""
    with open_directory() as database, database.begin() as conn:
        row = tenant_changes.add_district(conn, valid_key(key), name)
        audit.record(conn, who_asks(who), "district added", district_id=row.id)
    note(f"District {key} added. Next: roster connection add KEY --district {key} --url URL --client-id ID")


@district.command("set", epilog=examples("roster district set springfield --connection-ranking sis,charter"))
def set_district(
    key: Annotated[str, typer.Argument(metavar="DISTRICT", help="The key of a district.")],
    connection_ranking: Annotated[
        str | None,
        typer.Option("--connection-ranking", metavar="CONNECTIONS", help=DISTRICT[0].help + ' "" removes the ranking.'),
    ] = None,
    who: Who = None,
) -> None:
    """Change the settings of a district; options that are not given change nothing."""
    with open_directory() as database, database.begin() as conn:
        settings = tenants.get_district(conn, key).settings
        if connection_ranking is not None:
            ranking = [valid_key(part.strip()) for part in connection_ranking.split(",") if part.strip()]
            settings = settings.model_copy(update={"connection_ranking": ranking})
        done = school_changes.change_district(conn, key, settings, who=who_asks(who))
    note(f"District {key}: {', '.join(done.names) or 'nothing'} changed.")


@district.command(
    "defaults",
    cls=ManyOptions,
    epilog=examples(
        "roster district defaults springfield",
        "roster district defaults springfield --from oak",
        "roster district defaults springfield --students --students-auto-update --time-zone America/Chicago",
    ),
)
@setting_options.with_options(setting_options.DEFAULT_OPTIONS)
def defaults(
    key: Annotated[str, typer.Argument(metavar="DISTRICT", help="The key of a district.")],
    school: Annotated[str | None, typer.Option("--from", metavar="SCHOOL", help="Take those of this school.")] = None,
    standard: Annotated[bool, typer.Option("--standard", help="Begin with the standard settings again.")] = False,
    who: Who = None,
    as_json: AsJson = False,
    **chosen: Any,
) -> None:
    """Show or set the settings with which new schools of a district begin. Schools that are there stay as they are."""
    given = any(value is not None and value != [] for value in chosen.values())
    if standard and (school or given):
        raise typer.BadParameter("--standard cannot be combined with other settings")
    plain = school_settings.SchoolSettings(school_id=school_settings.ANY_SCHOOL)
    with open_directory() as database, database.begin() as conn:
        now = tenants.get_district(conn, key).settings.school_defaults
        if school:
            taken = tenants.get_school(conn, school)
            if taken.district_key != key:
                raise CommandError(f"{school} is a school of {taken.district_key}.\nTake a school of {key}.")
            now = taken.settings.for_new_schools()
        if given:
            now = setting_options.school_settings((now or plain).model_dump(mode="json"), chosen)
        if school or given or standard:
            done = school_changes.set_school_defaults(conn, key, None if standard else now, who=who_asks(who))
            note(f"District {key}: {'the settings of new schools' if done.names else 'nothing'} changed.")
            now = None if standard else now
    if as_json:
        print_json(now and now.model_dump(mode="json", exclude=set(setting_options.OF_ONE_SCHOOL)))
        return
    print_table(["setting", "value"], settings_changes.differences(plain, now or plain))
    note("The other settings are the standard ones." if now else "New schools begin with the standard settings.")


@district.command("list")
def list_districts(as_json: AsJson = False) -> None:
    """List the districts."""
    with open_directory() as database, database.begin() as conn:
        rows = tenants.list_districts(conn)
    data = [{"key": row.key, "name": row.name, "settings": row.settings.model_dump(mode="json")} for row in rows]
    lines = [(row.key, row.name, row.settings.connection_ranking) for row in rows]
    print_rows(as_json, data, ["district", "name", "connection ranking"], lines)


@district.command("resume", epilog=examples("roster district resume springfield"))
def end_pause(key: Annotated[str, typer.Argument(metavar="DISTRICT")], who: Who = None) -> None:
    """End the pause of a district."""
    with open_directory() as database, database.begin() as conn:
        paused = school_changes.resume_district(conn, key, who=who_asks(who))
    note(f"District {key} runs by itself again." if paused else f"District {key} was not paused.")


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
@setting_options.with_options(setting_options.SCHOOL_OPTIONS)
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
        with open_directory() as database:
            rows = school_file.add_file(database, file, connection, chosen, who_asks(who))
            school_file.note_added(rows)
        added = counted(len(rows), "school", "schools")
        note(f"{added} added. Next, for each school, as for the first: roster test-connection {rows[0].key}")
        return
    if not (key and connection and name):
        raise typer.BadParameter("give SCHOOL, --connection and --name, or a file of schools: --file")
    if not chosen["school_id"]:
        raise typer.BadParameter("give the School ID, the sourcedId of the school's org in the SIS: --school-id")
    with open_directory() as database:
        with database.begin() as conn:
            settings = setting_options.school_settings(setting_options.new_school(conn, connection), chosen)
            row = school_changes.add_school(conn, connection, valid_key(key), name, settings, who=who_asks(who))
        school_file.note_added([row])
    note(f"School {key} added. Next: roster test-connection {key}")


@school.command(
    "set",
    cls=ManyOptions,
    epilog=examples(
        "roster school set oak --students-archive --guard archive_share=0.2",
        "roster school set oak --blackout 2027-06-20:2027-08-10 --map ext:officeStaff=staff",
    ),
)
@setting_options.with_options(setting_options.SCHOOL_OPTIONS)
def set_(
    key: SchoolKey,
    name: Annotated[str | None, typer.Option("--name", help="The school's name, for reports.")] = None,
    who: Who = None,
    **chosen: Any,
) -> None:
    """Change a school's settings; options that are not given change nothing."""
    with open_directory() as database:
        with database.begin() as conn:
            row = tenants.get_school(conn, key)
        settings = setting_options.school_settings(row.settings.model_dump(mode="json"), chosen)
        seen = row.revision
        result = save_settings.save_school(database, key, settings, who=who_asks(who), name=name or None, seen=seen)
    report_saved(f"School {key}", result)


@school.command("list")
def list_(
    district: Annotated[str | None, typer.Option("--district", help="Only the schools of this district.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the schools and what is switched on."""
    with open_directory() as database, database.begin() as conn:
        rows = tenants.list_schools(conn, district)
    print_rows(
        as_json,
        [setting_options.as_data(row) for row in rows],
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
    with open_directory() as database, database.begin() as conn:
        row = tenants.get_school(conn, key)
    if as_json:
        print_json(setting_options.as_data(row))
        return
    plain = row.settings.model_dump(mode="json")
    facts = {"school": row.key, "name": row.name, "district": row.district_key, "connection": row.connection.key}
    roles = {role: setting_options.switches(getattr(row.settings, role)) for role in ROLES}
    rest = {name.replace("_", " "): value for name, value in plain.items() if name not in (*ROLES, "guards")}
    print_facts(facts | roles | rest | {f"guard {name}": value for name, value in plain["guards"].items()})


@school.command("resume", epilog=examples("roster school resume oak"))
def resume(key: SchoolKey, who: Who = None) -> None:
    """Resume the scheduled syncs of a school that was paused after a week of failures."""
    with open_directory() as database, database.begin() as conn:
        paused = school_changes.resume_school(conn, key, who=who_asks(who))
    resumed = f"The scheduled syncs of school {key} are resumed. The next one is at its next sync time."
    note(resumed if paused else f"School {key} was not paused.")
