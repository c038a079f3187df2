"""`roster web`: the Dagster UI behind rules that keep other web sites out."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from roster_pipeline.cli.output import say

LOOPBACK = "127.0.0.1"
UI_PORT = 3000


def web(
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = UI_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; a proxy with TLS stands in front.")] = (
        LOOPBACK
    ),
    path_prefix: Annotated[str, typer.Option("--path-prefix", help="Path of the UI behind a proxy, such as /view.")] = (
        ""
    ),
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, start and change nothing.")] = False,
    workspace: Annotated[str, typer.Option("--workspace", help="The workspace file. Default: the project's.")] = "",
) -> None:
    """Serve the Dagster UI. It answers its own pages only: no other web site can start a run. Ctrl-C ends it."""
    from roster_pipeline.embedded import prepare_environment, project_root
    from roster_pipeline.settings.installation import Places, WebAddresses
    from roster_pipeline.webserver import rules_from, serve

    if read_only and Places.read().dagster_database_url:  # it shows Dagster's tables only: no directory, no key
        os.environ["DAGSTER_HOME"] = str(project_root())
    else:
        prepare_environment()
    rules = rules_from(WebAddresses.read(), path_prefix.rstrip("/"))
    if not rules.token:  # with one, the link that holds it is printed by who made it
        say(f"The Dagster UI listens on http://{host}:{port}{rules.prefix}", style="bold green")
    serve(workspace or str(project_root() / "workspace.yaml"), host, port, rules, read_only=read_only)
