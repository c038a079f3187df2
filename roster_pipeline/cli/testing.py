"""`roster test-connection`: Test Your Information, item by item, with the remedy for what is red."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from roster_pipeline.cli.failing import FAILED
from roster_pipeline.cli.printing import note, print_json, print_table, safe
from roster_pipeline.cli.session import AsJson, SchoolKey, open_directory

if TYPE_CHECKING:
    from roster_pipeline.directory.tenants import SchoolRow
    from roster_pipeline.oneroster.check import CheckItem

MARKS = {True: ("green", "ok"), False: ("red", "failed"), None: ("yellow", "note")}


def check_connection(key: SchoolKey, as_json: AsJson = False) -> None:
    """Test Your Information: signs in, finds the school, counts each role, and says what is missing."""
    from roster_pipeline.directory import tenants

    with open_directory() as database:
        with database.begin() as opened:
            school = tenants.get_school(opened, key)
        items = [_plain(item) for item in _checked(school)]
        result = {"at": datetime.now(UTC).isoformat(), "ok": all(item["ok"] is not False for item in items)}
        with database.begin() as opened:
            tenants.save_test(opened, school.id, items)
    if as_json:
        print_json({"school": key} | result | {"items": items})
    else:
        print_table(["", "item", "result", "what to do"], [_row(item) for item in items])
    if not result["ok"]:
        note(f"{key}: not everything works yet.", style="red")
        raise typer.Exit(FAILED)
    note(f"{key}: everything works. Next: roster sync {key} --dry-run", style="green")


def _checked(school: SchoolRow) -> list[CheckItem]:
    from roster_pipeline.evening.connecting import client_of
    from roster_pipeline.oneroster.check import check

    chosen = school.settings
    with client_of(school.connection) as client:
        return check(
            client,
            chosen.school_id,
            chosen.rostered,
            contacts=chosen.primary_contacts,
            per_school=school.connection.settings.strategy == "per_school",
        )


def _plain(item: CheckItem) -> dict[str, Any]:
    return {"name": item.name, "ok": item.ok, "detail": item.detail, "remedy": item.remedy}


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    colour, word = MARKS[item["ok"]]
    return (Text(word, style=colour), item["name"], safe(item["detail"] or ""), safe(item["remedy"] or ""))
