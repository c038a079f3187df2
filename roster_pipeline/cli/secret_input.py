"""Client Secrets on their way in: typed unseen, from stdin, or the name of a variable. Never from the command line.

A secret written as an option stays in the shell's history and shows in the list of processes, so it is refused.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

ASK = "ask"
STDIN = "-"

ClientSecret = Annotated[
    str | None,
    typer.Option(
        "--client-secret",
        metavar="[-|ask]",
        help="- reads the Client Secret from stdin, ask asks for it unseen. Never the secret itself.",
    ),
]
ClientSecretEnv = Annotated[
    str | None,
    typer.Option(
        "--client-secret-env",
        metavar="NAME",
        help="Environment variable that holds the Client Secret at run time; only its name is kept.",
    ),
]


def read_secret(source: str | None, variable: str | None, *, ask: bool) -> str | None:
    """The secret as `seal` takes it: plain, or `env:NAME`; None when nothing was said and `ask` is off.

    ask: without either option ask for it, or demand one of them where no terminal is there to ask at.
    """
    if source is not None and variable is not None:
        raise typer.BadParameter("give --client-secret or --client-secret-env, not both")
    if variable is not None:
        if not variable.replace("_", "a").isalnum():
            raise typer.BadParameter("--client-secret-env: this is not the name of a variable")
        return f"env:{variable}"
    if source == STDIN:
        return _not_empty(sys.stdin.readline().rstrip("\r\n"))
    if source == ASK or (source is None and ask):
        if not sys.stdin.isatty():
            raise typer.BadParameter(
                "nobody is there to ask: give --client-secret - (stdin) or --client-secret-env NAME"
            )
        return _not_empty(typer.prompt("Client Secret", hide_input=True, err=True))
    if source is not None:
        raise typer.BadParameter(
            "a secret on the command line stays in the shell's history; give - to read it from stdin, or ask"
        )
    return None


def _not_empty(secret: str) -> str:
    if not secret:
        raise typer.BadParameter("the Client Secret is empty")
    return secret
