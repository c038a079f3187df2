"""Files for a spreadsheet: streamed, never kept on the server, and noted in the audit, for they name people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.responses import StreamingResponse

from roster_pipeline.safe_csv import csv_chunks


def csv_answer(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingResponse:
    """A CSV as an attachment. name: of the file, of letters, digits and dashes."""
    headers = {
        "content-disposition": f'attachment; filename="{name}.csv"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(csv_chunks(header, rows), media_type="text/csv", headers=headers)
