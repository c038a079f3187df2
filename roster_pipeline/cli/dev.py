"""`roster dev`: the Dagster UI, its daemon and the simulated SIS, started and ended together."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from roster_pipeline.cli.failing import FAILED, CommandError
from roster_pipeline.cli.printing import note, say
from roster_pipeline.cli.processes import ProcessGroup

LOOPBACK = "127.0.0.1"
UI_PORT = 3000
SIMULATOR_PORT = 8601
"""The demo's, so that the connections it made find their SIS again."""
STARTING_SECONDS = 120.0
"""The UI loads all definitions before it answers; on a slow machine that takes a while."""
LOOK_EVERY = 0.3
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def dev(
    port: Annotated[int, typer.Option("--port", help="Port of the Dagster UI, on this machine only.")] = UI_PORT,
    simulator_port: Annotated[
        int, typer.Option("--simulator-port", help="Port of the simulated SIS.")
    ] = SIMULATOR_PORT,
    simulator: Annotated[bool, typer.Option("--simulator/--no-simulator", help="Start the simulated SIS too.")] = True,
) -> None:
    """Start the Dagster UI, its daemon and the simulated SIS; Ctrl-C ends them all, and the embedded database."""
    from roster_pipeline.directory import migrate
    from roster_pipeline.directory.database import Database
    from roster_pipeline.embedded import prepare_environment, project_root
    from roster_pipeline.evening.reporting import UI_ADDRESS

    for wanted in [port] + [simulator_port] * simulator:
        _must_be_free(wanted)
    stop = Event()
    for number in ENDING:
        signal.signal(number, lambda _number, _frame: stop.set())
    database = Database(prepare_environment().roster)
    os.environ.setdefault(UI_ADDRESS, f"http://{LOOPBACK}:{port}")
    migrate.upgrade(database)
    database.close()
    workspace = project_root() / "workspace.yaml"
    with ProcessGroup() as group:
        for name, command in _commands(workspace, port, simulator_port if simulator else None).items():
            group.start(name, command)
        ended = _follow(group, stop, port)
        if not ended:
            note("Ending ...")
    if ended:
        note(f"The {ended} ended by itself, so everything was ended; its last lines above say why.", style="red")
        raise typer.Exit(FAILED)


def _commands(workspace: Path, port: int, simulator_port: int | None) -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    commands = {
        "Dagster UI": [*python, "dagster_webserver", "-w", str(workspace), "-h", LOOPBACK, "-p", str(port)],
        "Dagster daemon": [*python, "dagster._daemon", "run", "-w", str(workspace)],
    }
    if simulator_port is not None:
        commands["simulator"] = [*python, "roster_pipeline.demo.sis", "--port", str(simulator_port)]
    return commands


def _follow(group: ProcessGroup, stop: Event, port: int) -> str | None:
    """Wait for the end: a signal (None), or a child that ended by itself (its name)."""
    deadline = time.monotonic() + STARTING_SECONDS
    told = False
    while not stop.wait(LOOK_EVERY):
        ended = group.ended()
        if ended:
            return ended
        if not told and (_answers(port) or time.monotonic() > deadline):
            say(f"The Dagster UI is at http://{LOOPBACK}:{port}  (Ctrl-C ends it)", style="bold green")
            told = True
    return None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise CommandError(f"Port {port} is in use.\nEnd what uses it, or choose another: --port") from None
