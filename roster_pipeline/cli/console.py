"""`roster console`: the pages for owners."""

from __future__ import annotations

from typing import Annotated

import typer

from roster_pipeline.cli.error_handling import CommandError
from roster_pipeline.cli.output import note, say
from roster_pipeline.cli.session import open_directory

CONSOLE_PORT = 8080
LOOPBACK = "127.0.0.1"


def console(
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = CONSOLE_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; a proxy with TLS stands in front.")] = (
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
        raise CommandError(f"{host}:{port} cannot be listened on.\nChoose another: --port, --host") from None
    say(f"The console is at {config.url}  (Ctrl-C ends it)", style="bold green")
    if not given.console_url and config.url != config_from(given, config.database_url).url:
        note(f"For links that begin so, set {URL}={config.url} where you run: roster access link EMAIL")
    serve(create_app(config), config, listening)
