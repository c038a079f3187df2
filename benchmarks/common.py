"""Shared by the benchmarks: a database, a simulated SIS with a district, figures, and their last line as JSON.

The simulator is a process of its own, so it takes no time from the measured process. Each measured side is a process
too, so its peak memory is its own. The database is the embedded PostgreSQL as it comes out of its wheel, in a temporary
folder, or the server that ROSTER_BENCHMARK_DATABASE_URL names (databases are made and dropped on it).
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from cpu_work import Work
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.engine import URL

from roster_pipeline.directory import schema, tenant_changes
from roster_pipeline.directory.database import Database, with_driver
from roster_pipeline.directory.secrets import seal
from roster_pipeline.runtime.embedded import embedded_server
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline.simulator.person import Layout

SERVER = "ROSTER_BENCHMARK_DATABASE_URL"
CLIENT = "benchmark"
SECRET = "benchmark-secret"
ROOT = "/ims/oneroster/rostering/v1p2"
PAGE = 1000
SEED = 7
DISTRICT, CONNECTION, SCHOOL = "district", "sis", "school"
FIRST_SCHOOL = "sch-1"
PATIENCE = 120.0
BYTES_PER_MB = 1 << 20
ON = RoleSettings(rostered=True, auto_update=True, archive=True)


@contextmanager
def database_server() -> Iterator[URL]:
    """The URL of a server for the time of a block."""
    if given := os.environ.get(SERVER):
        yield with_driver(given)
        return
    with tempfile.TemporaryDirectory(prefix="roster-benchmark-", ignore_cleanup_errors=True) as folder:
        server = embedded_server(Path(folder) / "data")
        try:
            yield with_driver(server.get_uri())
        finally:
            server.stop()


@contextmanager
def fresh_database(server: URL, name: str) -> Iterator[URL]:
    """An empty database of this name, dropped at the end."""
    _on_server(server, f"drop database if exists {name} with (force)", f"create database {name}")
    try:
        yield server.set(database=name)
    finally:
        _on_server(server, f"drop database {name} with (force)", "checkpoint")


def _on_server(server: URL, *statements: str) -> None:
    admin = Database(server.set(database="postgres"))
    with admin.session() as conn:
        for statement in statements:
            conn.execute(text(statement))
    admin.close()


@contextmanager
def simulator(keep_pages: bool, **districts: tuple[int, int]) -> Iterator[dict[str, str]]:
    """The simulator as a process; yields name to base URL.

    keep_pages: it makes each page once. districts: name to (schools, students per school).
    """
    command = [sys.executable, "-m", "roster_pipeline.simulator", "--port", "0", "--versions", "1.2"]
    command += ["--client-id", CLIENT, "--client-secret", SECRET, *(["--keep-pages"] if keep_pages else [])]
    for name, (schools, students) in districts.items():
        command += ["--site", f"/{name}:schools={schools},students={students},seed={SEED},versions=1.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            places = process.stdout.readline().split()[3:]
            yield {place.rsplit("/", 1)[1]: place for place in places}
        finally:
            process.terminate()


def students_for(people: int) -> int:
    """The number of students in a school with this many students and staff, without guardians."""
    students = people
    while (excess := _members(students) - people) > 0:
        students -= max(1, excess * 9 // 10)
    return students


def _members(students: int) -> int:
    counts = Layout(1, students).counts
    return sum(count for kind, count in counts.items() if kind != "contact")


def control(site: str, action: str, body: dict[str, Any] | None = None) -> Any:
    """One of the simulator's own endpoints: `reset`, `day`, `requests`, ..."""
    answer = httpx.post(f"{site}/simulator/{action}", json=body or {}, timeout=PATIENCE, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def sign_in(site: str) -> str:
    """A bearer token."""
    form = {
        "grant_type": "client_credentials",
        "scope": "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly",
    }
    url = f"{site}/oauth/token"
    answer = httpx.post(url, data=form, auth=(CLIENT, SECRET), timeout=PATIENCE, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def pages_of(site: str) -> Iterator[bytes]:
    """All of `/users`, page by page, one after the other over one connection: the simplest possible loop."""
    headers = {"Authorization": f"Bearer {sign_in(site)}", "Accept": "application/json"}
    offset, total = 0, 1
    with httpx.Client(headers=headers, timeout=PATIENCE, trust_env=False) as client:
        while offset < total:
            query = f"limit={PAGE}&offset={offset}&sort=sourcedId&orderBy=asc"
            answer = client.get(f"{site}{ROOT}/users?{query}")
            answer.raise_for_status()
            yield answer.content
            offset, total = offset + PAGE, int(answer.headers["X-Total-Count"])


def warm(site: str) -> None:
    """Let the simulator make every page once, before anybody is timed."""
    for _ in pages_of(site):
        pass


def prepare(database: Database, url: str, **school: Any) -> None:
    """A migrated directory with one district, one connection to a SIS at `url`, and one school that rosters all."""
    schema.upgrade(database)
    settings = ConnectionSettings(
        url=url, client_id=CLIENT, token_url=f"{url.removesuffix(ROOT)}/oauth/token", version="1.2",
        allow_private_addresses=True, page_size=PAGE,
    )  # fmt: skip
    chosen: dict[str, Any] = dict.fromkeys(("students", "teachers", "staff", "admins"), ON)
    chosen |= {"school_id": FIRST_SCHOOL, "first_sync": "apply", "primary_contacts": True} | school
    with database.begin() as conn:
        tenant_changes.add_district(conn, DISTRICT, "District")
        tenant_changes.add_connection(conn, DISTRICT, CONNECTION, settings, seal(SECRET))
        tenant_changes.add_school(conn, CONNECTION, SCHOOL, "School", SchoolSettings(**chosen))


def new_key() -> str:
    """A key for the secrets of one run."""
    return Fernet.generate_key().decode()


def peak_megabytes(process: int | str = "self") -> float:
    """The most memory a process has held: this one, or on Linux another. Linux counts in KB, macOS in bytes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (BYTES_PER_MB if sys.platform == "darwin" else 1024)


def work(url: URL) -> Work:
    """CPU seconds from now on, of this process and of a database server."""
    return Work(str(url.query.get("host", "")))


def side(script: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run one side as a process of its own; its last line is JSON with its figures."""
    folder = Path(__file__).parent
    given = {"LANG", "PATH", "PYTHONPATH", "HOME", "TMPDIR", "TZ", "ROSTER_SECRET_KEY"}
    environment = {name: value for name, value in os.environ.items() if name in given}
    done = subprocess.run(
        [python, str(folder / script), *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def median(rounds: Sequence[dict[str, Any]], name: str) -> float:
    """The median of one figure over the rounds."""
    return statistics.median(float(one[name]) for one in rounds)


def load() -> float:
    """The load of the machine: processes that want a core, over the last minute."""
    return round(os.getloadavg()[0], 1)


def last_line(benchmark: str, **figures: Any) -> None:
    """The figures as one line of JSON, rounded, for programs."""
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"benchmark": benchmark, **rounded}))


def cpu_seconds(database: Database, processes: Sequence[int]) -> float:
    """Seconds of the processor used so far by this process, by these and their children, and by the database's server.

    Other work on the machine hardly changes it, unlike the clock. A server on another machine does not count.
    """
    own = time.process_time()
    with database.begin() as conn:
        backend = int(conn.scalar(text("select pg_backend_pid()")) or 0)
    found: dict[int, psutil.Process] = {}
    with suppress(psutil.Error):
        processes = [*processes, psutil.Process(backend).ppid()]
    for number in processes:
        with suppress(psutil.Error):
            top = psutil.Process(number)
            found |= {one.pid: one for one in (top, *top.children(recursive=True))}
    for one in found.values():
        with suppress(psutil.Error):
            times = one.cpu_times()
            own += times.user + times.system + times.children_user + times.children_system
    return own
