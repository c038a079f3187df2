"""`roster init`: everything a folder needs before the first school is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roster_pipeline.cli.output import note, print_facts, print_json
from roster_pipeline.cli.session import AsJson

if TYPE_CHECKING:
    from roster_pipeline.embedded import Addresses


def init(as_json: AsJson = False) -> None:
    """Make both databases, the schema, the key for secrets and Dagster's storage. Running it again does no harm."""
    from sqlalchemy.engine import make_url

    from roster_pipeline.directory import migrate, roles
    from roster_pipeline.directory.database import Database
    from roster_pipeline.embedded import prepare_environment
    from roster_pipeline.settings.installation import Places

    embedded = not Places.read().database_url
    addresses = prepare_environment()
    owner = Places.read().owner_database_url
    database = Database(owner or addresses.roster)
    migrate.upgrade(database)
    revision = migrate.current(database)
    login = make_url(addresses.roster).username if owner else None
    with database.begin() as opened:
        if login:
            roles.grant_pipeline(opened, login)
        roles.close_locks(opened, login)
    database.close()
    _make_dagster_storage()
    facts = _facts(addresses, embedded, revision)
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    note("Ready. Next: roster district add KEY --name NAME", style="green")


def _make_dagster_storage() -> None:
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()


def _facts(addresses: Addresses, embedded: bool, revision: str | None) -> dict[str, Any]:
    from sqlalchemy.engine import make_url

    from roster_pipeline.embedded import home
    from roster_pipeline.settings.installation import SecretKey

    key_file = home() / "secret.key"
    own_key = key_file.exists() and SecretKey.read().secret_key == key_file.read_text().strip()
    return {
        "database": make_url(addresses.roster).render_as_string(hide_password=True),
        "dagster": make_url(addresses.dagster).render_as_string(hide_password=True),
        "server": "embedded" if embedded else "given by ROSTER_DATABASE_URL",
        "schema": revision,
        "folder": str(home()),
        "key": str(key_file) if own_key else "given by ROSTER_SECRET_KEY",
    }
