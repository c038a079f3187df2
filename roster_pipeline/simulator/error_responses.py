"""What goes wrong, in the words and shapes of each version of the standard (its error payloads)."""

from collections.abc import Mapping
from typing import Any

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


class RequestError(Exception):
    """A request that is answered with an error payload. `code_minor` defaults to what the status calls for."""

    def __init__(
        self, status: int, description: str, code_minor: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.code_minor = code_minor or CODE_MINOR_BY_STATUS.get(status, "invaliddata")
        self.headers = dict(headers or {})


def error_payload(version: str, code_minor: str, description: str, shape: str = "standard") -> Any:
    """The body of an error. shape: `standard` for the version, or one of those seen in the wild.

    `errors` and `statusInfoSet` are lists in which servers put the four values, `wrapped` is 1.2's object under
    `imsx_StatusInfo`, `bare` 1.1's four values at the top.
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
    if shape == "standard":
        shape = "bare" if version == "1.1" else "modern"
    if shape == "errors":
        return {"errors": [bare]}
    if shape == "statusInfoSet":
        entry = {f"imsx_{key}": value for key, value in bare.items()}
        return {"statusInfoSet": [entry]}
    if shape == "wrapped":
        return {"imsx_StatusInfo": modern}
    return bare if shape == "bare" else modern


def warning(code_minor: str, description: str) -> dict[str, str]:
    """1.1's warning beside a collection that was delivered all the same."""
    return {"codeMajor": "success", "severity": "warning", "codeMinor": code_minor, "description": description}
