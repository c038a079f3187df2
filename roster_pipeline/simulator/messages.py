"""One request and one answer as the simulator sees them, and the error payloads of each version of the standard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

JSON = "application/json"
CODE_MINOR_BY_STATUS = {
    400: "invaliddata", 401: "unauthorisedrequest", 403: "forbidden", 404: "unknownobject", 405: "invaliddata",
    422: "invaliddata", 429: "server_busy", 500: "internal_server_error", 502: "internal_server_error",
    503: "server_busy", 504: "server_busy",
}  # fmt: skip
SPELLED_IN_1_1 = {
    "invaliddata": "invalid data",
    "unauthorisedrequest": "unauthorized",
    "unknownobject": "unknown object",
}


def read_pairs(query_string: str, plus_is_blank: bool = True) -> list[tuple[str, str]]:
    """The decoded parameters of a query or a form, in order."""
    decode = unquote_plus if plus_is_blank else unquote
    pairs = (part.partition("=") for part in query_string.split("&") if part)
    return [(decode(name), decode(value)) for name, _, value in pairs]


@dataclass(slots=True)
class Call:
    """A request.

    path: still percent-encoded. origin: `scheme://host[:port]` as the caller sees it. The last four are set when the
    SIS has found the version in the path: `root` is the URL of the service, `names` and `ids` are the segments below
    it in turn.
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
        """The decoded query parameters, in order."""
        return read_pairs(self.query_string, plus_is_blank)

    def split(self, rest: str) -> None:
        """Read the path below the root. Each segment is decoded on its own, so that an id may hold a slash."""
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
    """An answer before it is sent. body: a JSON value, or finished bytes."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = JSON

    def content(self) -> bytes:
        """The bytes to send."""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


class RequestError(Exception):
    """A request that is answered with an error payload. code_minor: by default the one for the status."""

    def __init__(
        self, status: int, description: str, code_minor: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.code_minor = code_minor or CODE_MINOR_BY_STATUS.get(status, "invaliddata")
        self.headers = dict(headers or {})


def error_payload(version: str, code_minor: str, description: str, shape: str = "standard") -> Any:
    """The body of an error.

    shape: `standard` is the version's own. Others were seen at real servers: `errors` and `statusInfoSet` put 1.1's
    four values into a list, `wrapped` puts 1.2's object under `imsx_StatusInfo`, `bare` is always 1.1's, `modern` is
    always 1.2's.
    """
    spelled = SPELLED_IN_1_1.get(code_minor, code_minor)
    bare = {"codeMajor": "failure", "severity": "error", "codeMinor": spelled, "description": description}
    modern = {
        "imsx_codeMajor": "failure",
        "imsx_severity": "error",
        "imsx_description": description,
        "imsx_CodeMinor": {
            "imsx_codeMinorField": [
                {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": code_minor}
            ]
        },
    }
    match shape:
        case "errors":
            return {"errors": [bare]}
        case "statusInfoSet":
            return {"statusInfoSet": [{f"imsx_{key}": value for key, value in bare.items()}]}
        case "wrapped":
            return {"imsx_StatusInfo": modern}
        case "standard":
            return bare if version == "1.1" else modern
        case _:
            return bare if shape == "bare" else modern
