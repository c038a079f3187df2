"""`roster application`: logins of the database for applications that read the directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.commands import examples, group
from roster_pipeline.cli.output import note, print_json, print_table, say
from roster_pipeline.cli.session import AsJson, Who, open_directory, who_asks

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

application = group("Logins of the database for applications: each sees its districts, schools, roles and fields only.")
Login = Annotated[str, typer.Argument(help="The login: lower-case letters, digits and underscores.")]


@application.command(
    "add",
    epilog=examples(
        "roster application add lunch --district springfield",
        "roster application add library --district springfield --school oak --role student "
        "--field given_name --field family_name --field email",
    ),
)
def add(
    login: Login,
    district: Annotated[str, typer.Option("--district", help="The key of the district it reads.")],
    school: Annotated[list[str] | None, typer.Option("--school", help="Only this school; may be repeated.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", help="Only people of this role; may be repeated.")] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Only this field, the others are null; may be repeated.")
    ] = None,
    who: Who = None,
) -> None:
    """Let a login read a district, and print its password once. Again: change what it sees."""
    from roster_pipeline.directory import audit, roles, tenants

    with _as_owner() as database, database.begin() as opened:
        limits = {"schools": school or [], "roles": role or [], "fields": field or []}
        password = roles.add_application(opened, login, district, **limits)
        owner = tenants.get_district(opened, district)
        details = {"login": login, **limits}
        audit.record(opened, who=who_asks(who), what="application added", district_id=owner.id, details=details)
    if password:
        say(password)
        note("This is its password; it is kept nowhere. It reads the schema roster_application.", style="green")
    else:
        note(f"{login} was there already: what it sees is changed, its password stays.", style="green")


@application.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the applications and what they see."""
    from roster_pipeline.directory import roles

    with open_directory() as database, database.begin() as opened:
        found = roles.applications(opened)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        (
            one.login,
            one.district,
            *(", ".join(part) if part else "all" for part in (one.schools, one.roles, one.fields)),
        )
        for one in found
    ]
    print_table(["login", "district", "schools", "roles", "fields"], rows)


@application.command("remove", epilog=examples("roster application remove lunch"))
def remove(login: Login, who: Who = None) -> None:
    """Take the login of an application away."""
    from roster_pipeline.directory import audit, roles

    with _as_owner() as database, database.begin() as opened:
        roles.remove_application(opened, login)
        audit.record(opened, who=who_asks(who), what="application removed", details={"login": login})
    note(f"{login} may not read any more.", style="green")


@contextmanager
def _as_owner() -> Iterator[Database]:
    """The directory by the login that may make others."""
    from roster_pipeline.directory.database import Database
    from roster_pipeline.settings.installation import Places

    with open_directory() as database:
        owner = Places.read().owner_database_url
        if not owner:
            yield database
            return
        own = Database(owner)
        try:
            yield own
        finally:
            own.close()
