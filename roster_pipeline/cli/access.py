"""`roster access`, `roster application` and `roster secrets`: who may use the console, which logins may read the
directory, and the key that encrypts Client Secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from roster_pipeline.cli.commands import AsJson, CommandError, Who, examples, group, open_directory, who_asks
from roster_pipeline.cli.output import note, print_rows, say
from roster_pipeline.console import config as console_config
from roster_pipeline.console.pages import sign_in
from roster_pipeline.directory import accounts, audit, schema, tenants
from roster_pipeline.directory import database as databases
from roster_pipeline.directory import secrets as sealing
from roster_pipeline.runtime import embedded
from roster_pipeline.services import access_changes
from roster_pipeline.settings import installation
from roster_pipeline.vocabulary import counted

access = group("Who may use the console: operators, managers of districts, owners of schools.")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's e-mail address.")]
Operator = Annotated[bool, typer.Option("--operator", help="Everything: all districts, access and settings.")]
District = Annotated[str, typer.Option("--district", metavar="KEY", help="All schools of this district.")]
School = Annotated[str, typer.Option("--school", metavar="KEY", help="This school.")]
secrets = group("The key that encrypts Client Secrets.")


@access.command(
    "grant",
    epilog=examples(
        "roster access grant ann@riverside.example --operator",
        "roster access grant office@lincoln.example --school lincoln-high",
    ),
)
def grant(
    email: Email, operator: Operator = False, district: District = "", school: School = "", who: Who = None
) -> None:
    """Give somebody access to everything, one district or one school."""
    with open_directory() as database, database.begin() as conn:
        place = access_changes.place_of(conn, operator=operator, district=district, school=school)
        added = access_changes.grant(conn, email, place, who=who_asks(who))
    note("Granted. They sign in at the console's address." if added else "They had this grant already.")


@access.command("revoke", epilog=examples("roster access revoke office@lincoln.example --school lincoln-high"))
def revoke(
    email: Email,
    operator: Operator = False,
    district: District = "",
    school: School = "",
    everything: Annotated[bool, typer.Option("--all", help="Everything they have.")] = False,
    who: Who = None,
) -> None:
    """Take access away; it takes effect with the person's next click."""
    if everything and (operator or district or school):
        raise CommandError("--all takes every grant away.\nGive --all alone, or name one grant.")
    with open_directory() as database, database.begin() as conn:
        place = None
        if not everything:
            place = access_changes.place_of(conn, operator=operator, district=district, school=school)
        access_changes.revoke(conn, email, place, who=who_asks(who))
    note("Revoked.")


@access.command("list", epilog=examples("roster access list --json"))
def list_(as_json: AsJson = False) -> None:
    """List who has access to what."""
    with open_directory() as database, database.begin() as conn:
        rows = accounts.grants(conn)
    print_rows(
        as_json,
        [
            {name: value for name, value in row._asdict().items() if name[-3:] != "_id" and name != "place"}
            for row in rows
        ],
        ["e-mail", "role", "for", "granted by", "granted", "last sign-in"],
        [(row.email, row.role, row.place, row.granted_by, row.granted_at, row.signed_in_at) for row in rows],
    )


@access.command("link", epilog=examples("roster access link ann@riverside.example"))
def link(email: Email, who: Who = None) -> None:
    """Print a link that signs somebody in. It works once, within an hour."""
    with open_directory() as database:
        config = console_config.config_of_installation()
        token = database.call(access_changes.link_for, email, who=who_asks(who))
    note("Anybody who opens this link signs in as this person. It works once, within an hour.")
    say(sign_in.link_address(config, token))


application = group("Logins of the database for applications. Each sees only its district, schools, roles and fields.")
Login = Annotated[str, typer.Argument(help="The login: lower-case letters, digits and underscores.")]


@application.command(
    "add",
    epilog=examples(
        "roster application add lunch --district springfield",
        "roster application add library --district springfield --school oak --role student "
        "--field given_name --field family_name --field email",
    ),
)
def add_application(
    login: Login,
    district: Annotated[str, typer.Option("--district", help="The key of the district it reads.")],
    school: Annotated[list[str] | None, typer.Option("--school", help="Only this school; may be repeated.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", help="Only people of this role; may be repeated.")] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Show only this field, the others are null; may be repeated.")
    ] = None,
    who: Who = None,
) -> None:
    """Let a login read a district, and print its password once. For an existing login: change what it sees."""
    with _as_owner() as database, database.begin() as conn:
        limits = {"schools": school or [], "roles": role or [], "fields": field or []}
        password = schema.add_application(conn, login, district, **limits)
        owner = tenants.get_district(conn, district)
        details = {"login": login, **limits}
        audit.record(conn, who_asks(who), "application added", district_id=owner.id, details=details)
    if password:
        say(password)
        note("This is its password; it is not stored. The login reads the schema roster_application.", style="green")
    else:
        note(f"{login} existed already. Its access was changed, its password was not.", style="green")


@application.command("list")
def list_applications(as_json: AsJson = False) -> None:
    """List the applications and what they see."""
    with open_directory() as database, database.begin() as conn:
        logins = schema.applications(conn)
    columns = ["login", "district", "schools", "roles", "fields"]
    print_rows(as_json, logins, columns, [[row[name] or "all" for name in columns] for row in logins])


@application.command("remove", epilog=examples("roster application remove lunch"))
def remove_application(login: Login, who: Who = None) -> None:
    """Remove the login of an application."""
    with _as_owner() as database, database.begin() as conn:
        schema.remove_application(conn, login)
        audit.record(conn, who_asks(who), "application removed", details={"login": login})
    note(f"{login} can no longer read.", style="green")


@contextmanager
def _as_owner() -> Iterator[databases.Database]:
    """The directory, opened with the login that may create logins."""
    with open_directory() as database:
        owner = installation.Places.read().owner_database_url
        if not owner:
            yield database
            return
        own = databases.Database(owner)
        try:
            yield own
        finally:
            own.close()


@secrets.command("new-key", epilog=examples("export ROSTER_SECRET_KEY=$(roster secrets new-key)"))
def new_key() -> None:
    """Print a fresh key for ROSTER_SECRET_KEY; nothing is stored."""
    say(sealing.new_key())


@secrets.command("rotate", epilog=examples("roster secrets rotate", "ROSTER_SECRET_KEY=NEW,OLD roster secrets rotate"))
def rotate(who: Who = None) -> None:
    """Seal every stored Client Secret with a new key.

    A key of this folder is replaced by a fresh one. If you set ROSTER_SECRET_KEY yourself, put the new key before the
    old one, with a comma between them. Run this. Then remove the old key.
    """
    given, path = installation.SecretKey.read().secret_key, installation.home() / "secret.key"
    new = _first(given) if given else sealing.new_key()
    with open_directory() as database:
        old = given or installation.SecretKey.read().secret_key
        if not given:
            _write_key(path, f"{new},{old}")  # now a crash loses nothing: the file has both keys
        number = database.call(sealing.rotate, old, new, who=who_asks(who))
        if not given:
            _write_key(path, new)
    note(f"{counted(number, 'Client Secret is', 'Client Secrets are')} sealed again.", style="green")
    if given:
        note(f"Now take the old key out of {embedded.SECRET_KEY}, and restart everything that uses it.")
    else:
        note("Restart everything that still uses the old key (roster dev, a daemon).")


def _first(given: str) -> str:
    keys = [key.strip() for key in given.split(",") if key.strip()]
    if len(keys) < 2:
        raise CommandError(
            "ROSTER_SECRET_KEY holds one key, so there is nothing to rotate to.\n"
            "Put the new key before it, with a comma between: ROSTER_SECRET_KEY=NEW,OLD (roster secrets new-key)"
        )
    return keys[0]


def _write_key(path: Path, text: str) -> None:
    """Replace the key's file in one step; only its owner may read it."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
