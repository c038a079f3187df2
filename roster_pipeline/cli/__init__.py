"""The `roster` command: settings, syncs, plans, holds and people, for the terminal and for scripts."""

from __future__ import annotations

import sys
import warnings

from roster_pipeline.cli.command_tree import build_app
from roster_pipeline.runtime.processes import end_by_signals

app = build_app()


def main() -> None:
    """The entry point of the `roster` script."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries warn their developers of says nothing to an operator
    end_by_signals()
    app(prog_name="roster")


__all__ = ["app", "main"]
