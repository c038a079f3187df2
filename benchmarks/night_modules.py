"""How many of our modules and functions one school's night enters. Somebody has to read these to follow it.

    python benchmarks/night_modules.py [--people 500] [--list]

A night is one run of the job `rostering` against a simulated SIS over HTTP, with changes, archivals and a mail. A
night before it fills the directory and is not counted. Module bodies are not counted either, so imports add nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

import common
import dagster as dg

import roster_pipeline
from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource, close_databases
from roster_pipeline.directory.database import Database
from roster_pipeline.sync.outbox_sender import send_due

AIM = 65
PACKAGE = str(Path(roster_pipeline.__file__).parent) + os.sep
DAY = {"joiners": 3, "leavers": 2, "renames": 5}
"""The changes between the two nights."""


class Entered:
    """A profile function for all threads: which functions of the package were called."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """See `sys.setprofile`."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name != "<module>":
            self.functions.add((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    def modules(self) -> Counter[str]:
        """Each module, with how many of its functions were called."""
        return Counter(name for name, _ in self.functions)


def entered(people: int) -> Entered:
    """The modules and functions that the second night of a school enters, with the mail that reports it."""
    found = Entered()
    with (
        common.database_server() as server,
        common.fresh_database(server, "modules") as url,
        common.simulator(False, district=(1, common.students_for(people))) as sites,
        tempfile.TemporaryDirectory(prefix="roster-modules-") as home,
    ):
        os.environ["ROSTER_HOME"] = home
        os.environ["ROSTER_DATABASE_URL"] = address = url.render_as_string(hide_password=False)
        database = Database(url)
        common.prepare(database, sites["district"] + common.ROOT)
        job = build_defs(resource_overrides={"directory": DirectoryResource(url=address)}).resolve_job_def("rostering")
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("schools", [common.SCHOOL])
            job.execute_in_process(instance=instance, partition_key=common.SCHOOL)
            send_due(database, InstallationResource().mailer())
            common.control(sites["district"], "day", DAY)
            threading.setprofile(found)
            sys.setprofile(found)
            try:
                job.execute_in_process(instance=instance, partition_key=common.SCHOOL)
                send_due(database, InstallationResource().mailer())
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
        database.close()
        close_databases()
    return found


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--list", action="store_true", help="print each module with the number of its functions")
    given = parser.parse_args()
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    found = entered(given.people)
    modules = found.modules()
    if given.list:
        for name, functions in sorted(modules.items()):
            print(f"{name}: {functions}")
    print(f"{len(modules)} modules (aim {AIM}), {len(found.functions)} functions")
    common.last_line("night_modules", modules=len(modules), aim=AIM, functions=len(found.functions))


if __name__ == "__main__":
    main()
