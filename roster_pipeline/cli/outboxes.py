"""`roster outbox`: mails that wait, were sent, or were given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.commands import examples, group
from roster_pipeline.cli.error_handling import CommandError
from roster_pipeline.cli.output import note, print_json, print_table
from roster_pipeline.cli.session import AsJson, open_directory

if TYPE_CHECKING:
    from roster_pipeline.directory.outbox import OutboxMessage

outbox = group("Mails: what waits, what was sent, and what was given up.")


@outbox.command("list", epilog=examples("roster outbox list --dead"))
def list_(
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many mails, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Mails, newest first, with the reason where one did not get through."""
    from roster_pipeline.directory import outbox as mails

    with open_directory() as database, database.begin() as opened:
        found = mails.dead(opened, limit) if dead else mails.messages(opened, limit)
    if as_json:
        hidden = ("text", "html", "attachment")
        print_json(
            [
                {name: value for name, value in vars(one).items() if name not in hidden} | {"state": _state(one)}
                for one in found
            ]
        )
        return
    print_table(
        ["mail", "written", "school", "subject", "to", "state", "tries", "what happened"],
        [
            (one.id, one.created_at, one.school, one.subject, one.recipients, _state(one), one.attempts, one.error)
            for one in found
        ],
    )


@outbox.command("retry", epilog=examples("roster outbox retry 17"))
def retry(number: Annotated[int, typer.Argument(metavar="MAIL", help="Its number; see: roster outbox list")]) -> None:
    """Try a mail again that was given up; the daemon sends it within a minute."""
    from roster_pipeline.directory import outbox as mails

    with open_directory() as database, database.begin() as opened:
        revived = mails.retry(opened, number)
    if not revived:
        raise CommandError(f"Mail {number} was not given up.\nSee: roster outbox list --dead")
    note(f"Mail {number} is tried again.")


def _state(letter: OutboxMessage) -> str:
    return "sent" if letter.sent_at else "dead" if letter.dead_at else "waiting"
