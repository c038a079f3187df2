"""`roster dagster`: Dagster's own command on this installation's instance."""

from __future__ import annotations

import subprocess
import sys

import typer

from roster_pipeline.signals import Ended


def dagster(ctx: typer.Context) -> None:
    """Dagster's own command, told of the databases: to backfill, list runs, and so on. Help: roster dagster --help"""
    from roster_pipeline.embedded import prepare_environment

    prepare_environment()
    with subprocess.Popen([sys.executable, "-m", "dagster", *ctx.args]) as child:  # noqa: S603 - the caller's own words
        try:
            code = child.wait()
        except Ended as ended:
            child.send_signal(ended.number)  # Ctrl-C has reached it too; a second one does no harm
            child.wait()
            raise
    raise typer.Exit(code)
