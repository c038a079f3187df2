"""`roster connection`, `roster sis` and `roster test-connection`: how a SIS is reached. No command shows a secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from roster_pipeline.cli.commands import (
    FAILED,
    AsJson,
    ClientSecret,
    ClientSecretEnv,
    CommandError,
    ManyOptions,
    SchoolKey,
    Who,
    examples,
    group,
    open_directory,
    read_secret,
    valid_key,
    who_asks,
)
from roster_pipeline.cli.output import note, print_checks, print_facts, print_json, print_rows, print_table
from roster_pipeline.cli.setting_options import merged, with_options
from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.oneroster import presets
from roster_pipeline.services import connection_test, save_settings, settings_changes
from roster_pipeline.settings import school as school_settings
from roster_pipeline.settings.fields import CONNECTION, title_of
from roster_pipeline.sync import connection_checks

sis = group("Supported SISs: their addresses, permissions and known quirks. Anything else is `other`.")
NOT_KNOWN = "not publicly known"


@sis.command("list")
def list_sis(as_json: AsJson = False) -> None:
    """List the supported SISs."""
    known = presets.presets()
    print_rows(
        as_json,
        [row.model_dump(mode="json") for row in known],
        ["sis", "name", "OneRoster", "sign-in", "address"],
        [(row.name, row.display_name, ", ".join(row.versions), row.sign_in, row.url or "") for row in known],
        "What a SIS needs: roster sis show NAME",
    )


@sis.command("show", epilog=examples("roster sis show powerschool"))
def show_sis(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from: roster sis list")], as_json: AsJson = False
) -> None:
    """Show where to find Client ID, Client Secret and School ID, what to grant in the SIS, and its known quirks."""
    chosen = preset_of(name)
    if as_json:
        print_json(chosen.model_dump(mode="json"))
        return
    facts: dict[str, Any] = {
        "name": chosen.display_name,
        "address": chosen.url or NOT_KNOWN,
        "token address": chosen.token_url or NOT_KNOWN,
        "sign-in": chosen.sign_in,
        "versions": ", ".join(chosen.versions) or NOT_KNOWN,
        "largest page": chosen.page_cap or NOT_KNOWN,
        "Client ID": chosen.client_id_at or NOT_KNOWN,
        "Client Secret": chosen.client_secret_at or NOT_KNOWN,
        "School ID": chosen.school_id_at or NOT_KNOWN,
        "it must grant": " ".join(chosen.permissions) or NOT_KNOWN,
        **{f"delivers {name.lower()}": presets.offered(chosen, subject) for subject, name in presets.SUBJECTS.items()},
        "instead of the API": chosen.csv_at or NOT_KNOWN,
        "known quirks": " ".join(chosen.quirks) or "none",
    }
    print_facts(facts)
    note(f"Use it: roster connection add KEY --district DISTRICT --sis {chosen.name} --url ADDRESS --client-id ID")


def preset_of(name: str) -> presets.Preset:
    """The preset of a SIS. Raises BadParameter if there is none of that name."""
    try:
        return presets.preset(name)
    except presets.UnknownPreset as problem:
        raise typer.BadParameter(str(problem)) from None


connection = group("Connections: the address and the credentials of a SIS. Several schools may share one.")
ConnectionKey = Annotated[str, typer.Argument(metavar="CONNECTION", help="The key of a connection.")]
FILES = ("file://", "sftp://")
"""Sources that may need no secret."""


@connection.command(
    "add",
    cls=ManyOptions,
    epilog=examples(
        "roster connection add powerschool --district springfield --url https://sis.example.org --client-id abc",
        "pass show sis | roster connection add sis --district springfield --url URL --client-id abc --client-secret -",
    ),
)
@with_options(CONNECTION)
def add(
    key: Annotated[str, typer.Argument(metavar="CONNECTION", help="A short key for the connection.")],
    district: Annotated[str, typer.Option("--district", help="The district it belongs to.")],
    client_secret: ClientSecret = None,
    client_secret_env: ClientSecretEnv = None,
    who: Who = None,
    **chosen: Any,
) -> None:
    """Add a connection. It asks for the Client Secret, unless an option says where to read it."""
    start = preset_of(chosen["sis"]).defaults() if chosen["sis"] else {}
    if not chosen["url"] and "url" not in start:
        raise typer.BadParameter("give the address of the SIS: --url")
    settings = school_settings.ConnectionSettings.model_validate(merged(start, CONNECTION, chosen))
    secret = read_secret(client_secret, client_secret_env, ask=not settings.url.startswith(FILES))
    with open_directory() as database, database.begin() as conn:
        settings_changes.add_connection(conn, district, valid_key(key), settings, secret, who=who_asks(who))
        several = len(tenants.list_connections(conn, district)) > 1
    note(f"Connection {key} added. Next: roster school add KEY --connection {key} --school-id ID --name NAME")
    if several and settings.controlled_by == "school":
        note(
            "Its records are not matched to people of another connection by name and e-mail alone. "
            f"If only managers may change it, say so: roster connection set {key} --controlled-by district"
        )


@connection.command(
    "set", cls=ManyOptions, epilog=examples("roster connection set sis --page-size 200 --client-secret ask")
)
@with_options(CONNECTION)
def set_(
    key: ConnectionKey,
    client_secret: ClientSecret = None,
    client_secret_env: ClientSecretEnv = None,
    who: Who = None,
    **chosen: Any,
) -> None:
    """Change a connection; options that are not given change nothing."""
    secret = read_secret(client_secret, client_secret_env, ask=False)
    with open_directory() as database:
        with database.begin() as conn:
            row = tenants.get_connection(conn, key)
        plain = row.settings.model_dump(mode="json")
        settings = school_settings.ConnectionSettings.model_validate(merged(plain, CONNECTION, chosen))
        result = save_settings.save_connection(database, key, settings, secret, who=who_asks(who), seen=row.revision)
    report_saved(f"Connection {key}", result)


@connection.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the connections."""
    with open_directory() as database, database.begin() as conn:
        rows = tenants.list_connections(conn)
    print_rows(
        as_json,
        [as_data(row) for row in rows],
        ["connection", "district", "SIS", "address", "version", "secret"],
        [
            (row.key, row.district_key, row.settings.sis, row.settings.url, row.settings.version, secret_kind(row))
            for row in rows
        ],
    )


@connection.command("schools", epilog=examples("roster connection schools sis", "roster connection schools sis --json"))
def schools(key: ConnectionKey, as_json: AsJson = False, who: Who = None) -> None:
    """List the schools of the SIS with the numbers of their people: what to write into a file of schools."""
    with open_directory() as database:
        with database.begin() as conn:
            list_id = connection_test.begin_list(conn, tenants.get_connection(conn, key), who=who_asks(who))
        if list_id is None:
            raise CommandError("The schools of this SIS are being read already.\nWait a minute, then try again.")
        connection_test.carry_out_list(database, key, list_id)
        with database.begin() as conn:
            found = connection_tests.get_list(conn, tenants.get_connection(conn, key))
    listed = found.schools if found else []
    if as_json:
        print_json(listed)
    elif listed:
        roles = list(listed[0]["people"] or {})
        print_table(
            ["school-id", "identifier", "name", *roles],
            [(one["id"], one["identifier"], one["name"], *((one["people"] or {}).values())) for one in listed],
        )
    if found and found.problem:
        raise CommandError(found.problem)


@connection.command("remove", epilog=examples("roster connection remove sis-2"))
def remove(key: ConnectionKey, who: Who = None) -> None:
    """Remove a connection that no school has used, such as one with a mistyped address."""
    with open_directory() as database, database.begin() as conn:
        settings_changes.remove_connection(conn, key, who=who_asks(who))
    note(f"Connection {key} removed.", style="green")


@connection.command("show", epilog=examples("roster connection show sis --json"))
def show(key: ConnectionKey, as_json: AsJson = False) -> None:
    """Show a connection's settings and what was found out about its SIS."""
    with open_directory() as database, database.begin() as conn:
        row = tenants.get_connection(conn, key)
    data = as_data(row)
    if as_json:
        print_json(data)
        return
    facts = {name.replace("_", " "): value for name, value in data["settings"].items()}
    print_facts({"connection": row.key, "district": row.district_key, "client secret": data["secret"]} | facts)
    if data["learned"]:
        note("Found out about this SIS:")
        print_facts(data["learned"])


def as_data(row: tenants.ConnectionRow) -> dict[str, Any]:
    """A connection as plain data, with the kind of its secret only."""
    return {
        "key": row.key, "district": row.district_key, "settings": row.settings.model_dump(mode="json"),
        "secret": secret_kind(row), "learned": dict(row.learned),
    }  # fmt: skip


def secret_kind(row: tenants.ConnectionRow) -> str:
    """none, stored, or the variable that holds it. The secret is not included, not even encrypted."""
    if not row.secret:
        return "none"
    return row.secret if row.secret.startswith("env:") else "stored"


def report_saved(subject: str, result: save_settings.SaveResult) -> None:
    """Say what was saved. Raises CommandError if nothing was."""
    if result.conflict:
        raise result.conflict
    if result.errors:
        wrong = "\n".join(f"{title_of(name)}: {message}" for name, message in result.errors.items())
        raise CommandError(f"{subject}: nothing was saved.\n{wrong}")
    note(f"{subject}: {', '.join(result.changed) or 'nothing'} changed.")
    warn_untested(result.untested)


def warn_untested(schools: Sequence[str]) -> None:
    """Warn of schools that run every night on an untested connection. The console would refuse to save that."""
    for key in schools:
        note(
            f"Automatic rostering of {key} is on, but its connection was not tested since it changed. "
            f"Test it: roster test-connection {key}",
            style="yellow",
        )


def check_connection(key: SchoolKey, as_json: AsJson = False) -> None:
    """Test Your Information: sign in, find the school, count each role, and show what is missing."""
    with open_directory() as database:
        items = connection_checks.check_connection(database, key, connection_test.LIMITS)
    result = {"at": datetime.now(UTC).isoformat(), "ok": all(item["ok"] is not False for item in items)}
    print_checks(as_json, {"school": key} | result | {"items": items}, items)
    if not result["ok"]:
        note(f"{key}: not everything works yet.", style="red")
        raise typer.Exit(FAILED)
    note(f"{key}: everything works. Next: roster sync {key} --dry-run", style="green")
