"""`roster district`: the tenants. Nothing is matched, read or changed across districts."""

from __future__ import annotations

from typing import Annotated

import typer

from roster_pipeline.cli.commands import AsJson, Who, examples, group, open_directory, who_asks
from roster_pipeline.cli.output import note, print_json, print_table
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


@district.command("set", epilog=examples("roster district set springfield --home-ranking sis,charter"))
def set_(
    key: Annotated[str, typer.Argument(metavar="DISTRICT", help="The key of a district.")],
    home_ranking: Annotated[
        str | None,
        typer.Option(
            "--home-ranking",
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
        if home_ranking is not None:
            ranking = [valid_key(part.strip()) for part in home_ranking.split(",") if part.strip()]
            settings = settings.model_copy(update={"home_ranking": ranking})
        done = change_district(conn, key, settings, who=who_asks(who))
    note(f"District {key}: {', '.join(done.names) or 'nothing'} changed.")


@district.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the districts."""
    from roster_pipeline.directory import tenants

    with open_directory() as database, database.begin() as conn:
        rows = tenants.list_districts(conn)
    if as_json:
        print_json([{"key": row.key, "name": row.name, "settings": row.settings.model_dump()} for row in rows])
    else:
        print_table(
            ["district", "name", "home ranking"], [(row.key, row.name, row.settings.home_ranking) for row in rows]
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
