"""`roster test-connection`: Test Your Information, item by item, with the remedy for what is red."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer
from rich.text import Text

from roster_pipeline.cli.error_handling import FAILED
from roster_pipeline.cli.output import note, print_json, print_table, safe
from roster_pipeline.cli.session import AsJson, SchoolKey, open_directory

MARKS = {True: ("green", "ok"), False: ("red", "failed"), None: ("yellow", "note")}


def check_connection(key: SchoolKey, as_json: AsJson = False) -> None:
    """Test Your Information: signs in, finds the school, counts each role, and says what is missing."""
    from roster_pipeline.sync.connection_checks import check_connection as checked

    with open_directory() as database:
        items = checked(database, key)
    result = {"at": datetime.now(UTC).isoformat(), "ok": all(item["ok"] is not False for item in items)}
    if as_json:
        print_json({"school": key} | result | {"items": items})
    else:
        print_table(["", "item", "result", "what to do"], [_row(item) for item in items])
    if not result["ok"]:
        note(f"{key}: not everything works yet.", style="red")
        raise typer.Exit(FAILED)
    note(f"{key}: everything works. Next: roster sync {key} --dry-run", style="green")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    colour, word = MARKS[item["ok"]]
    return (Text(word, style=colour), item["name"], safe(item["detail"] or ""), safe(item["remedy"] or ""))
