"""`roster dagster`: Dagster's own command on this installation's instance."""

from __future__ import annotations

import subprocess
import sys

import typer


def dagster(ctx: typer.Context) -> None:
    """Dagster's own command, told of the databases: to backfill, list runs, and so on. Help: roster dagster --help"""
    from roster_pipeline.embedded import prepare_environment

    prepare_environment()
    ended = subprocess.run([sys.executable, "-m", "dagster", *ctx.args], check=False)  # noqa: S603 - the caller's own words
    raise typer.Exit(ended.returncode)
