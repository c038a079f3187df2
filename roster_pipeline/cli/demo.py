"""`roster demo`: the whole house in a minute and a half, on simulated schools."""

from __future__ import annotations

import typer
from rich.console import Console


def demo() -> None:
    """Three nights of three simulated schools through Dagster, and what came of them."""
    from roster_pipeline.demo.run import run_demo

    code = run_demo(Console())
    if code:
        raise typer.Exit(code)
