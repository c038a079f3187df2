"""One request as the simulator sees it, and one reply before it goes out."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson

from roster_pipeline.simulator.query import read_pairs

JSON = "application/json"


@dataclass(slots=True)
class Call:
    """A request.

    `path` is still percent-encoded, below the SIS's prefix; `origin` is `scheme://host[:port]` as the caller sees it.
    """

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    origin: str
    client: str
    body: bytes = b""
    version: str = "1.2"
    root: str = ""
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def parameters(self, plus_is_blank: bool = True) -> list[tuple[str, str]]:
        """The decoded query parameters in order."""
        return read_pairs(self.query_string, plus_is_blank)

    def split(self, rest: str) -> None:
        """Read what stands behind the root: names and ids in turn, each decoded on its own, so that an id may hold a
        slash."""
        parts = [unquote(part) for part in rest.split("/") if part]
        self.names, self.ids = tuple(parts[0::2]), tuple(parts[1::2])

    @property
    def resource(self) -> str:
        """The path without ids, as the tables of the standard write it: `/schools/{id}/students`."""
        pieces = []
        for place, name in enumerate(self.names):
            pieces.append(f"/{name}")
            if place < len(self.ids):
                pieces.append("/{id}")
        return "".join(pieces)


@dataclass(slots=True)
class Answer:
    """An answer: the JSON value or finished bytes, with status and headers."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = JSON

    def content(self) -> bytes:
        """The bytes to send."""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
