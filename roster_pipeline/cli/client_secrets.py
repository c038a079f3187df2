"""Client Secrets: how a command takes one, and `roster secrets` for the key that they are encrypted with.

A secret written as an option stays in the shell's history and shows in the list of processes, so it is refused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.commands import CommandError, Who, examples, group, open_directory, who_asks
from roster_pipeline.cli.output import note, say
from roster_pipeline.vocabulary import counted

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

ASK = "ask"
STDIN = "-"

ClientSecret = Annotated[
    str | None,
    typer.Option(
        "--client-secret",
        metavar="[-|ask]",
        help="Where the Client Secret comes from: - is stdin, ask is a prompt that does not show it. Never the secret.",
    ),
]
ClientSecretEnv = Annotated[
    str | None,
    typer.Option(
        "--client-secret-env",
        metavar="NAME",
        help="Environment variable that holds the Client Secret at run time; only its name is stored.",
    ),
]


def read_secret(source: str | None, variable: str | None, *, ask: bool) -> str | None:
    """The secret as `seal` takes it: plain, or `env:NAME`; None without either option, if `ask` is off.

    ask: without either option, ask on the terminal. Raises BadParameter if there is no terminal.
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
                "there is no terminal to ask on: give --client-secret - (stdin) or --client-secret-env NAME"
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


secrets = group("The key that Client Secrets are kept with.")


@secrets.command("new-key", epilog=examples("export ROSTER_SECRET_KEY=$(roster secrets new-key)"))
def new_key() -> None:
    """Print a fresh key for ROSTER_SECRET_KEY; nothing is stored."""
    from roster_pipeline.directory.secrets import new_key as fresh

    say(fresh())


@secrets.command("rotate", epilog=examples("roster secrets rotate", "ROSTER_SECRET_KEY=NEW,OLD roster secrets rotate"))
def rotate(who: Who = None) -> None:
    """Seal every stored Client Secret with a new key.

    A key of this folder is replaced by a fresh one. A key given by ROSTER_SECRET_KEY is yours: put the new one before
    the old one, with a comma between, run this, then take the old one away.
    """
    from roster_pipeline.directory import audit
    from roster_pipeline.directory import secrets as sealing
    from roster_pipeline.runtime.embedded import SECRET_KEY, home
    from roster_pipeline.settings.installation import SecretKey

    given = SecretKey.read().secret_key
    with open_directory() as database:
        old = given or SecretKey.read().secret_key
        if given:
            new = _first(given)
            number = _rotate(database, old, new)
        else:
            new = sealing.new_key()
            path = home() / "secret.key"
            _write_key(path, f"{new},{old}")  # a crash from here on leaves a file that opens both
            number = _rotate(database, old, new)
            _write_key(path, new)
        with database.begin() as conn:
            audit.record(conn, who=who_asks(who), what="secrets rotated", details={"secrets": number})
    note(f"{counted(number, 'Client Secret is', 'Client Secrets are')} sealed anew.", style="green")
    if given:
        note(f"Now take the old key out of {SECRET_KEY}.")
    else:
        note("What still runs with the old key (roster dev, a daemon) must be started again.")


def _first(given: str) -> str:
    keys = [key.strip() for key in given.split(",") if key.strip()]
    if len(keys) < 2:
        raise CommandError(
            "ROSTER_SECRET_KEY holds one key, so there is nothing to rotate to.\n"
            "Put the new key before it, with a comma between: ROSTER_SECRET_KEY=NEW,OLD (roster secrets new-key)"
        )
    return keys[0]


def _rotate(database: Database, old: str, new: str) -> int:
    from roster_pipeline.directory import secrets as sealing

    with database.begin() as conn:
        return sealing.rotate(conn, old, new)


def _write_key(path: Path, text: str) -> None:
    """Replace the key's file in one step; only its owner may read it."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
