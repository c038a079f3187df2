"""`roster simulator`: the simulated SIS. Its own command line does the work; this hands the options on."""

from __future__ import annotations

import typer


def simulator(ctx: typer.Context) -> None:
    """A simulated SIS that speaks OneRoster 1.1 and 1.2; its options: roster simulator --help"""
    from roster_pipeline.simulator.__main__ import main

    main(list(ctx.args))
