"""`roster console`, `roster web` and `roster dagster`: the pages, the Dagster UI and Dagster's own command."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from roster_pipeline.cli.commands import CommandError
from roster_pipeline.cli.output import note, say
from roster_pipeline.cli.session import open_directory
from roster_pipeline.runtime.signals import Ended

LOOPBACK = "127.0.0.1"
UI_PORT = 3000


def web(
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = UI_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; put a proxy with TLS in front of it.")] = (
        LOOPBACK
    ),
    path_prefix: Annotated[str, typer.Option("--path-prefix", help="Path of the UI behind a proxy, such as /view.")] = (
        ""
    ),
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, start and change nothing.")] = False,
    workspace: Annotated[str, typer.Option("--workspace", help="The workspace file. Default: the project's.")] = "",
) -> None:
    """Serve the Dagster UI. It answers its own pages only: no other web site can start a run. Ctrl-C ends it."""
    from roster_pipeline.runtime.embedded import prepare_environment, project_root
    from roster_pipeline.runtime.webserver import rules_from, serve
    from roster_pipeline.settings.installation import Places, WebAddresses

    if read_only and Places.read().dagster_database_url:  # it shows Dagster's tables only: no directory, no key
        os.environ["DAGSTER_HOME"] = str(project_root())
    else:
        prepare_environment()
    rules = rules_from(WebAddresses.read(), path_prefix.rstrip("/"))
    if not rules.token:  # with a token, roster dev prints the link
        say(f"The Dagster UI listens on http://{host}:{port}{rules.prefix}", style="bold green")
    serve(workspace or str(project_root() / "workspace.yaml"), host, port, rules, read_only=read_only)


CONSOLE_PORT = 8080
LOOPBACK = "127.0.0.1"


def console(
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = CONSOLE_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; put a proxy with TLS in front of it.")] = (
        LOOPBACK
    ),
) -> None:
    """Serve the console, the pages for owners: settings, test, holds, history. Ctrl-C ends it."""
    from roster_pipeline.console.app import create_app
    from roster_pipeline.console.config import URL, config_from
    from roster_pipeline.console.serve import bound, serve
    from roster_pipeline.settings.installation import ConsoleVariables, Places

    given = ConsoleVariables.read()
    with open_directory():
        config = config_from(given, Places.read().database_url, host, port)
    try:
        listening = bound(host, port)
    except OSError:
        raise CommandError(
            f"{host}:{port} cannot be listened on.\nChoose another port or address: --port, --host"
        ) from None
    say(f"The console is at {config.url}  (Ctrl-C ends it)", style="bold green")
    if not given.console_url and config.url != config_from(given, config.database_url).url:
        note(f"For links with this address, set {URL}={config.url} where you run: roster access link EMAIL")
    serve(create_app(config), config, listening)


def dagster(ctx: typer.Context) -> None:
    """Run Dagster's own command with the databases of this installation. Its help: roster dagster --help"""
    from roster_pipeline.runtime.embedded import prepare_environment

    prepare_environment()
    with subprocess.Popen([sys.executable, "-m", "dagster", *ctx.args]) as child:  # noqa: S603 - the caller's own words
        try:
            code = child.wait()
        except Ended as ended:
            child.send_signal(ended.number)  # Ctrl-C has reached it too; a second one does no harm
            child.wait()
            raise
    raise typer.Exit(code)
