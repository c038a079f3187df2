"""The paging headers: X-Total-Count, and Link with absolute URLs that repeat every other parameter."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode


def page_url(address: str, parameters: Sequence[tuple[str, str]], limit: int, offset: int) -> str:
    """The address of one page of the same question."""
    kept = [(name, value) for name, value in parameters if name not in ("limit", "offset")]
    return f"{address}?{urlencode([*kept, ('limit', str(limit)), ('offset', str(offset))], quote_via=quote, safe='')}"


def page_offsets(offset: int, limit: int, total: int) -> dict[str, int]:
    """The offset of each relation that exists: no `next` on the last page, no `prev` on the first."""
    last = max(0, (total - 1) // limit * limit) if total else 0
    offsets = {"next": offset + limit} if offset + limit < total else {}
    if offset > 0:
        offsets["prev"] = max(0, offset - limit)
    return offsets | {"first": 0, "last": last}


def link_header(address: str, parameters: Sequence[tuple[str, str]], limit: int, offsets: dict[str, int]) -> str:
    """The Link header for these offsets (RFC 8288)."""
    return ", ".join(
        f'<{page_url(address, parameters, limit, offset)}>; rel="{relation}"' for relation, offset in offsets.items()
    )
