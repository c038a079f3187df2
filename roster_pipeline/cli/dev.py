"""Commands that start servers: `roster dev`, `demo`, `simulator`, `console`, `web` and `dagster`."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from roster_pipeline.cli.commands import CommandError, open_directory
from roster_pipeline.cli.output import note, say
from roster_pipeline.console import app
from roster_pipeline.console import config as console_config
from roster_pipeline.console.pages import sign_in
from roster_pipeline.directory import accounts, schema
from roster_pipeline.directory import database as databases
from roster_pipeline.runtime import embedded, run_school, webserver
from roster_pipeline.runtime.processes import RECORD, Ended, ProcessGroup
from roster_pipeline.services import access_changes
from roster_pipeline.settings import installation
from roster_pipeline.sync import build_report

OPERATOR = "operator@roster.test"
"""The first operator, on a machine without one."""
SIMULATOR_PORT = 8601
"""The demo's, so that the connections it made find their SIS again."""
STARTING_SECONDS = 120.0
"""The UI loads all definitions before it answers; on a slow machine that takes a while."""
LOOK_EVERY = 0.3
CODE_SERVER, SOCKET = "code server", "code"
LOOPBACK = "127.0.0.1"
UI_PORT = 3000
CONSOLE_PORT = 8080


def _port(name: str, text: str) -> Any:
    return typer.Option(name, help=text, min=1, max=65_535)


def web(
    port: Annotated[int, _port("--port", "Port to listen on.")] = UI_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; put a proxy with TLS in front of it.")] = (
        LOOPBACK
    ),
    path_prefix: Annotated[str, typer.Option("--path-prefix", help="Path of the UI behind a proxy, such as /view.")] = (
        ""
    ),
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, but start and change nothing.")
    ] = False,
    workspace: Annotated[str, typer.Option("--workspace", help="The workspace file. Default: the project's.")] = "",
) -> None:
    """Serve the Dagster UI. It answers its own pages only: no other web site can start a run. Ctrl-C ends it."""
    # a read-only UI shows Dagster's tables only: no directory, no key
    if read_only and installation.Places.read().dagster_database_url:
        os.environ["DAGSTER_HOME"] = str(installation.project_root())
    else:
        embedded.prepare_environment()
    rules = webserver.rules_from(installation.WebAddresses.read(), path_prefix.rstrip("/"))
    if not rules.token:  # with a token, roster dev prints the link
        say(f"The Dagster UI listens on http://{host}:{port}{rules.prefix}", style="bold green")
    loaded = workspace or str(installation.project_root() / "workspace.yaml")
    webserver.serve(loaded, host, port, rules, read_only=read_only)


def console(
    port: Annotated[int, _port("--port", "Port to listen on.")] = CONSOLE_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; put a proxy with TLS in front of it.")] = (
        LOOPBACK
    ),
) -> None:
    """Serve the console, the pages for owners: settings, test, holds, history. Ctrl-C ends it."""
    given = installation.ConsoleVariables.read()
    with open_directory():
        config = console_config.config_from(given, installation.Places.read().database_url, host, port)
    try:
        listening = console_config.bound(host, port)
    except OSError:
        raise CommandError(
            f"This command cannot listen on {host}:{port}.\nChoose another port or address: --port, --host"
        ) from None
    console_config.keep_address(config)
    say(f"The console is at {config.url}  (Ctrl-C ends it)", style="bold green")
    console_config.serve(app.create_app(config), config, listening)


def dagster(ctx: typer.Context) -> None:
    """Run Dagster's own command with the databases of this installation. Its help: roster dagster --help"""
    embedded.prepare_environment()
    with subprocess.Popen([sys.executable, "-m", "dagster", *ctx.args]) as child:  # noqa: S603 - the caller's own words
        try:
            code = child.wait()
        except Ended as ended:
            child.send_signal(ended.number)  # Ctrl-C has reached it too; a second one does no harm
            child.wait()
            raise
    raise typer.Exit(code)


def dev(
    port: Annotated[int, _port("--port", "Port of the Dagster UI, on this machine only.")] = UI_PORT,
    console_port: Annotated[int, _port("--console-port", "Port of the console.")] = CONSOLE_PORT,
    simulator_port: Annotated[int, _port("--simulator-port", "Port of the simulated SIS.")] = SIMULATOR_PORT,
    simulator: Annotated[bool, typer.Option("--simulator/--no-simulator", help="Start the simulated SIS too.")] = True,
) -> None:
    """Start the Dagster UI, its daemon, the console and the simulated SIS; Ctrl-C ends them all, and the database."""
    ports = {"--port": port, "--console-port": console_port}
    if simulator:
        ports["--simulator-port"] = simulator_port
    for option, wanted in ports.items():
        _must_be_free(wanted, option)
    database = databases.Database(embedded.prepare_environment().roster)
    _link_to(port, console_port)
    schema.upgrade(database)
    link = _operator_link(database)
    database.close()
    token = os.environ.setdefault(webserver.TOKEN, secrets.token_urlsafe())
    console_at = os.environ[console_config.URL]
    messages = {
        port: f"The Dagster UI is at http://{LOOPBACK}:{port}/?token={token}  (Ctrl-C ends it)",
        console_port: f"The console is at {console_at}; this link signs an operator in, once: {link}",
    }
    with TemporaryDirectory(prefix="roster-dev-") as folder, ProcessGroup(installation.home() / RECORD) as group:
        commands = _commands(Path(folder), port, console_port, simulator_port if simulator else None)
        try:
            for name, command in commands.items():
                group.start(name, command)
                if name == CODE_SERVER:
                    _await_code_server(group, Path(folder) / SOCKET)
            ended = _follow(group, messages)
        except Ended:
            note("Ending ...")
            raise
    raise CommandError(f"The {ended} ended by itself, so everything was ended.\nIts last lines above say why.")


def _link_to(port: int, console_port: int) -> None:
    """Let mails lead to the pages of `roster dev`, if no other addresses are set."""
    os.environ.setdefault(build_report.UI_ADDRESS, f"http://{LOOPBACK}:{port}")
    os.environ.setdefault(console_config.URL, f"http://{LOOPBACK}:{console_port}")


def _operator_link(database: databases.Database) -> str:
    """A one-time sign-in link for an operator; makes the first one if there is none."""
    from roster_pipeline.cli.commands import who_asks

    config = console_config.config_of_installation()
    who = who_asks(installation.CommandLine.read().who)
    with database.begin() as conn:
        email = next(iter(accounts.operators(conn)), None)
        if email is None:
            email = OPERATOR
            access_changes.grant(conn, email, accounts.Place(), who=who)
        return sign_in.link_address(config, access_changes.link_for(conn, email, who=who))


def _commands(folder: Path, port: int, console_port: int, simulator_port: int | None) -> dict[str, list[str]]:
    """The children, by name. folder: for their workspace, and the socket of the code server that UI and daemon share.
    Otherwise the daemon would replace its own every minute."""
    python, quiet = [sys.executable, "-m"], ["--log-level", "warning"]
    served, workspace = str(folder / SOCKET), folder / "workspace.yaml"
    ours = {"python_module": {"module_name": run_school.MODULE, "location_name": run_school.LOCATION}}
    shared = {"grpc_server": {"socket": served, "location_name": run_school.LOCATION}}
    loaded = yaml.safe_load((installation.project_root() / "workspace.yaml").read_text())
    loaded["load_from"] = [shared if place == ours else place for place in loaded["load_from"]]
    workspace.write_text(yaml.safe_dump(loaded))
    code_server = ["dagster", "api", "grpc", "--lazy-load-user-code", "-m", run_school.MODULE, "--socket", served]
    commands = {
        CODE_SERVER: [*python, *code_server, *quiet],
        "Dagster UI": [*python, "roster_pipeline.cli", "web", "--workspace", str(workspace), "--port", str(port)],
        # at its usual level, the lines of sensors push the links off the screen
        "Dagster daemon": [*python, "dagster._daemon", "run", "-w", str(workspace), *quiet],
        "console": [*python, "roster_pipeline.cli", "console", "--port", str(console_port)],
    }
    if simulator_port is not None:
        commands["simulator"] = [*python, "roster_pipeline.demo_sis", "--port", str(simulator_port)]
    return commands


def _await_code_server(group: ProcessGroup, served: Path) -> None:
    """Wait until it serves: Dagster's other processes print pages of warnings if they do not find it."""
    deadline = time.monotonic() + STARTING_SECONDS
    while not served.exists() and not group.ended() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)


def _follow(group: ProcessGroup, messages: dict[int, str]) -> str:
    """Wait for a child that ends, and return its name. Raises Ended. messages: by port, to show when all answer."""
    deadline = time.monotonic() + STARTING_SECONDS
    shown = False
    while not (ended := group.ended()):
        time.sleep(LOOK_EVERY)
        if not shown and (all(map(_answers, messages)) or time.monotonic() > deadline):
            say("\n".join(messages.values()), style="bold green")
            shown = True
    return ended


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _must_be_free(port: int, option: str) -> None:
    try:
        console_config.bound(LOOPBACK, port).close()
    except OSError:
        raise CommandError(
            f"Port {port} is in use.\nStop the program that uses it, or choose another port: {option}"
        ) from None


def demo() -> None:
    """Run three nights of three simulated schools through Dagster, and show the results."""
    from roster_pipeline.demo import run_demo

    _link_to(UI_PORT, CONSOLE_PORT)  # `make dev` follows
    code = run_demo(Console())
    if code:
        raise typer.Exit(code)


def simulator(ctx: typer.Context) -> None:
    """A simulated SIS that speaks OneRoster 1.1 and 1.2; its options: roster simulator --help"""
    from roster_pipeline.simulator.__main__ import main

    main(list(ctx.args))
