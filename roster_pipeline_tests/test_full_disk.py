"""A disk that is really full: the embedded server and a command on a small disk in memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0
        or shutil.which("unshare") is None
        or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0,
        reason="The tests on a full disk were left out: only root may mount one.",
    ),
    pytest.mark.timeout(200),
]
GROW = """
import os, shutil
from contextlib import suppress
from pathlib import Path
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.runtime.embedded import _create_if_missing, addresses
from roster_pipeline.settings.installation import home

database = Database(addresses().roster)
with database.begin() as conn:
    conn.exec_driver_sql("create table filling (words text)")
filler = home() / "filler"
filler.write_bytes(bytes(shutil.disk_usage(home()).free - 2**20))
try:
    with database.begin() as conn:
        conn.exec_driver_sql("insert into filling select repeat(md5(n::text), 30) from generate_series(1, 5000) n")
except DirectoryError as problem:
    print(problem)
for kept in home().glob("postgres/base/*/pg_internal.init"):  # what a new connection writes if it is missing
    kept.unlink()
with suppress(OSError), (home() / "rest").open("wb", buffering=0) as rest:
    while rest.write(bytes(4096)):
        pass
database.close()
for connect in (database.begin().__enter__, lambda: _create_if_missing(database.engine.url, "ROSTER_DATABASE_URL")):
    try:
        connect()
    except DirectoryError as problem:
        print(problem)
for file in (filler, home() / "rest"):
    file.unlink()
"""


def on_a_disk_of(size: str, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose home folder is a disk of this size; the disk goes with the command."""
    mounted = 'mount -t tmpfs -o size="$1" none "$2" && chmod 755 "$2" && shift 2 && "$@"'
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROSTER_", "DAGSTER_"))}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", size, str(folder), sys.executable, *command],
        env=kept | {"ROSTER_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_a_first_command_on_a_full_disk_says_so(open_folder: Path) -> None:
    done = on_a_disk_of("15m", ["-m", "roster_pipeline.cli", "init"], open_folder)
    assert done.returncode == 1
    assert f"The disk of {open_folder} is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_change_and_a_connection_that_find_no_room_say_so(open_folder: Path) -> None:
    done = on_a_disk_of("200m", ["-c", GROW], open_folder)
    said = [line for line in done.stdout.splitlines() if not line.startswith("Make room")]
    assert said == ["The disk of the database server is full (SQLSTATE 53100). Nothing was written."] * 3, done
