"""`roster secrets`: the key that Client Secrets are kept with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from roster_pipeline.cli.commands import examples, group
from roster_pipeline.cli.error_handling import CommandError
from roster_pipeline.cli.output import note, say
from roster_pipeline.cli.session import Who, open_directory, who_asks

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

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
    from roster_pipeline.embedded import SECRET_KEY, home
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
        with database.begin() as opened:
            audit.record(opened, who=who_asks(who), what="secrets rotated", details={"secrets": number})
    note(f"{number} Client Secrets sealed anew.", style="green")
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

    with database.begin() as opened:
        return sealing.rotate(opened, old, new)


def _write_key(path: Path, text: str) -> None:
    """Replace the key's file in one step; nobody else may read it."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
