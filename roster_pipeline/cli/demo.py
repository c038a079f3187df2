"""`roster demo`: the whole house in a minute and a half, on simulated schools."""

from __future__ import annotations

from roster_pipeline.cli.printing import console


def demo() -> None:
    """Three evenings of three simulated schools through Dagster, and what came of them."""
    from roster_pipeline.demo import run_demo

    run_demo(console())
