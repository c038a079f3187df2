"""The CSV file that comes with a report.

It has one line per row of the plan, with only ids or with masked names, never with values.

Mailboxes keep a mail for years. So the file never holds a whole name, an e-mail, a user name or a number, and a
sourcedId that is one of these (some systems do so) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import Connection

from roster_pipeline.directory.plan_rows import RowDetail, count_details, details_of
from roster_pipeline.notifications import RowDetails
from roster_pipeline.safe_csv import ENCODING, csv_chunks
from roster_pipeline.vocabulary import why_of

Names = Literal["ids", "masked"]
MOST_ROWS = 10_000
"""This is about 2 MB: mail servers accept far more, and nobody reads so much."""
HEADER = ("row", "action", "result", "role", "person", "sourcedIds", "matched by", "reason", "why", "fields")
NAME = "name"
HIDDEN = "*"


def attach(conn: Connection, plan_id: int | None, sync_id: int, names: str) -> tuple[RowDetails | None, str | None]:
    """The mail's sentence about the file, and the file. (None, None) if no file is wanted, or if it would be empty."""
    if plan_id is None or names not in ("ids", "masked"):
        return None, None
    chosen: Names = "masked" if names == "masked" else "ids"
    rows = count_details(conn, plan_id, sync_id)
    if not rows:
        return None, None
    if rows > MOST_ROWS:
        return RowDetails(rows, chosen, attached=False), None
    return RowDetails(rows, chosen, attached=True), details_csv(details_of(conn, plan_id, sync_id, MOST_ROWS), chosen)


def details_csv(rows: Iterable[RowDetail], names: Names) -> str:
    """The file as text. The byte order mark is added later."""
    header = HEADER if names == "ids" else (*HEADER[:5], NAME, *HEADER[5:])
    return b"".join(csv_chunks(header, (_cells(row, names) for row in rows))).decode(ENCODING)


def _cells(row: RowDetail, names: Names) -> tuple[object, ...]:
    who = (row.person_id,) if names == "ids" else (row.person_id, masked(row.given_name, row.family_name))
    return (
        row.row,
        row.action,
        row.result,
        row.role,
        *who,
        " ".join(_shown_id(one, row) for one in row.sourced_ids),
        row.matched_by,
        row.reason,
        why_of(row.reason, row.notes),
        " ".join(row.fields),
    )


def masked(*names: str | None) -> str:
    """The first letters: `A. L.`. A name of one letter would be shown completely, so it becomes `*`."""
    return " ".join(_initial(name) for name in names if name)


def _initial(name: str) -> str:
    letters = [letter for letter in name if letter.isalnum()]
    return f"{letters[0].upper()}." if len(letters) > 1 else HIDDEN


def _shown_id(sourced_id: str, row: RowDetail) -> str:
    """A sourcedId as it is, unless it shows who the person is."""
    known = {secret.casefold() for secret in row.secrets}
    known |= {name.casefold() for name in (row.given_name, row.family_name) if name}
    plain = sourced_id.casefold()
    told = "@" in plain or plain in known or any(len(one) > 3 and one in plain for one in known)
    return HIDDEN if told else sourced_id
