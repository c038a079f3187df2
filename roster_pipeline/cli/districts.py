"""`roster district`: the tenants. Nothing is matched, read or changed across districts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from roster_pipeline.cli.commands import (
    AsJson,
    CommandError,
    ManyOptions,
    Who,
    examples,
    group,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import note, print_json, print_table
from roster_pipeline.cli.setting_options import DEFAULT_OPTIONS, OF_ONE_SCHOOL, school_settings, with_options
from roster_pipeline.settings.fields import DISTRICT

district = group("Districts: each owns its connections, schools and people.")


@district.command("add", epilog=examples("roster district add springfield --name 'Springfield Public Schools'"))
def add(
    key: Annotated[str, typer.Argument(help="A short key: lower-case letters, digits and hyphens.")],
    name: Annotated[str, typer.Option("--name", help="The district's full name.")],
    who: Who = None,
) -> None:
    """Add a district."""
    from roster_pipeline.directory import audit, tenants

    with open_directory() as database, database.begin() as conn:
        row = tenants.add_district(conn, valid_key(key), name)
        audit.record(conn, who=who_asks(who), what="district added", district_id=row.id)
    note(f"District {key} added. Next: roster connection add KEY --district {key} --url URL --client-id ID")


@district.command("set", epilog=examples("roster district set springfield --connection-ranking sis,charter"))
def set_(
    key: Annotated[str, typer.Argument(metavar="DISTRICT", help="The key of a district.")],
    connection_ranking: Annotated[
        str | None,
        typer.Option(
            "--connection-ranking",
            metavar="CONNECTIONS",
            help=DISTRICT[0].help + ' "" takes the ranking away.',
        ),
    ] = None,
    who: Who = None,
) -> None:
    """Change the settings of a district; options that are not given change nothing."""
    from roster_pipeline.directory import tenants
    from roster_pipeline.services.school_changes import change_district

    with open_directory() as database, database.begin() as conn:
        settings = tenants.get_district(conn, key).settings
        if connection_ranking is not None:
            ranking = [valid_key(part.strip()) for part in connection_ranking.split(",") if part.strip()]
            settings = settings.model_copy(update={"connection_ranking": ranking})
        done = change_district(conn, key, settings, who=who_asks(who))
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
@with_options(DEFAULT_OPTIONS)
def defaults(
    key: Annotated[str, typer.Argument(metavar="DISTRICT", help="The key of a district.")],
    school: Annotated[str | None, typer.Option("--from", metavar="SCHOOL", help="Take those of this school.")] = None,
    standard: Annotated[bool, typer.Option("--standard", help="Begin with the standard settings again.")] = False,
    who: Who = None,
    as_json: AsJson = False,
    **chosen: Any,
) -> None:
    """Show or set the settings with which new schools of a district begin. Schools that are there stay as they are."""
    from roster_pipeline.directory import tenants
    from roster_pipeline.services.school_changes import set_school_defaults
    from roster_pipeline.services.settings_changes import differences
    from roster_pipeline.settings.school import ANY_SCHOOL, SchoolSettings

    given = any(value is not None and value != [] for value in chosen.values())
    if standard and (school or given):
        raise typer.BadParameter("--standard goes with no other setting")
    plain = SchoolSettings(school_id=ANY_SCHOOL)
    with open_directory() as database, database.begin() as conn:
        now = tenants.get_district(conn, key).settings.school_defaults
        if school:
            taken = tenants.get_school(conn, school)
            if taken.district_key != key:
                raise CommandError(f"{school} is a school of {taken.district_key}.\nTake a school of {key}.")
            now = taken.settings.for_new_schools()
        if given:
            now = school_settings((now or plain).model_dump(mode="json"), chosen)
        if school or given or standard:
            done = set_school_defaults(conn, key, None if standard else now, who=who_asks(who))
            note(f"District {key}: {'the settings of new schools' if done.names else 'nothing'} changed.")
            now = None if standard else now
    if as_json:
        print_json(now and now.model_dump(mode="json", exclude=set(OF_ONE_SCHOOL)))
        return
    print_table(["setting", "value"], differences(plain, now or plain))
    note("The other settings are the standard ones." if now else "New schools begin with the standard settings.")


@district.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the districts."""
    from roster_pipeline.directory import tenants

    with open_directory() as database, database.begin() as conn:
        rows = tenants.list_districts(conn)
    if as_json:
        print_json(
            [{"key": row.key, "name": row.name, "settings": row.settings.model_dump(mode="json")} for row in rows]
        )
    else:
        print_table(
            ["district", "name", "connection ranking"],
            [(row.key, row.name, row.settings.connection_ranking) for row in rows],
        )


@district.command("resume", epilog=examples("roster district resume springfield"))
def resume(key: Annotated[str, typer.Argument(metavar="DISTRICT")], who: Who = None) -> None:
    """End the pause of a district."""
    from roster_pipeline.services.school_changes import resume_district

    with open_directory() as database, database.begin() as conn:
        paused = resume_district(conn, key, who=who_asks(who))
    note(f"District {key} runs by itself again." if paused else f"District {key} was not paused.")


def valid_key(key: str) -> str:
    """The key, if it can name partitions, files and links. Raises BadParameter."""
    import re

    from roster_pipeline.settings.school import KEY_PATTERN

    if not re.match(KEY_PATTERN, key):
        raise typer.BadParameter(f"{key}: a key has lower-case letters, digits and hyphens only, at most 64")
    return key
