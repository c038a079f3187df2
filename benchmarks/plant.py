"""The production set-up on one machine: a daemon and Celery workers around a broker, with a `dagster.yaml` as it is.

Runs are submitted as Dagster's own command line does it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
from dagster._cli.job import _create_run
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = ROOT / "workspace.yaml"
LOCATION = "roster_pipeline"
JOB = "rostering"
LOOK_EVERY = 0.25
POLITE_SECONDS = 20
LAST_LINES = 20


@dataclass
class Plant:
    """The processes of one night. `folder`: DAGSTER_HOME, and their output. Their environment is this process's."""

    folder: Path
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_daemon(self) -> None:
        """The daemon: run queue, monitoring, retries, schedules, sensors."""
        self._start("daemon", ["-m", "dagster._daemon", "run", "-w", str(WORKSPACE)])

    def start_worker(self, name: str) -> None:
        """One worker with one process for runs. Two set-ups on one broker need different names for their workers."""
        queue = os.environ["ROSTER_QUEUE"]
        options = ["-Q", queue, "-c", "1", "-n", f"{name}-{queue}@%h", "-l", "WARNING"]
        self._start(name, ["-m", "celery", "-A", "roster_pipeline.runtime.worker", "worker", *options])

    def _start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                process_group=0,
            )

    def pids(self) -> list[int]:
        """The processes as the system knows them."""
        return [child.pid for child in self.children.values()]

    def worker_pids(self) -> list[int]:
        """The processes of the workers, those that carry out the runs among them."""
        tops = [psutil.Process(child.pid) for name, child in self.children.items() if name.startswith("worker")]
        return [each.pid for top in tops for each in (top, *top.children(recursive=True))]

    def kill(self, name: str) -> None:
        """Kill a worker and its processes at once, as when a machine loses its power."""
        os.killpg(self.children[name].pid, signal.SIGKILL)
        self.children.pop(name).wait()

    def require_running(self) -> None:
        """RuntimeError if a process ended by itself, with the last lines that it printed."""
        for name, child in self.children.items():
            if (status := child.poll()) is not None:
                lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-LAST_LINES:]
                raise RuntimeError(f"{name} ended with status {status}; its last lines:\n" + "\n".join(lines))

    def stop(self) -> None:
        """Ask every child to end, wait, and kill what is left of its process group: the daemon's code server too."""
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(POLITE_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.children.clear()


@contextmanager
def plant(folder: Path, dagster_yaml: str) -> Iterator[tuple[Plant, dg.DagsterInstance]]:
    """A prepared set-up and its Dagster instance; the processes end with the block.

    The environment has DAGSTER_HOME and ROSTER_HOME at `folder`, and all variables that the configuration needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(dagster_yaml)
    made = Plant(folder)
    with dg.DagsterInstance.get() as instance:
        try:
            yield made, instance
        finally:
            made.stop()
            shutil.rmtree(folder, ignore_errors=True)


def submit(instance: dg.DagsterInstance, requests: Iterable[Mapping[str, str]]) -> None:
    """Queue one run for each set of tags."""
    with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(WORKSPACE)])) as process:
        workspace = process.create_request_context()
        location = workspace.get_code_location(LOCATION)
        (repository,) = location.get_repositories().values()
        job = repository.get_full_job(JOB)
        for tags in requests:
            run = _create_run(instance, location, repository, job, {}, tags, None, None)
            instance.submit_run(run.run_id, workspace)
        servers = process._grpc_server_registry
    servers.wait_for_processes()


def runs(instance: dg.DagsterInstance) -> Counter[str]:
    """Runs by status."""
    return Counter(run.status.value for run in instance.get_runs())


def wait_for(
    instance: dg.DagsterInstance, status: str, count: int, seconds: float, processes: Plant | None = None
) -> None:
    """Wait until `count` runs have this status.

    Raises TimeoutError after `seconds`, and RuntimeError as soon as one of `processes` ended by itself.
    """
    deadline = time.monotonic() + seconds
    while (now := runs(instance))[status] < count:
        if processes is not None:
            processes.require_running()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} runs should be {status}, but the runs are {dict(now)}")
        time.sleep(LOOK_EVERY)
