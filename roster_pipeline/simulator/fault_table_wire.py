"""The faults of addresses, errors, limits and bytes on the wire. Reads like `fault_table.py`."""

from roster_pipeline.simulator.faults import Fault

ADDRESSES = (
    Fault("root_suffix", "the API stands below the root at this path, e.g. /school", "PATH", (12,)),
    Fault("plain_v1p2", "1.2 stands (also, or only) at /ims/oneroster/v1p2", "also|only", (7,)),
    Fault("foreign_api", "every path answers a bare list of another API's members", "", (6,)),
    Fault("discovery", "1.2 has no discovery document", "off"),
    Fault("nested", "paths below a single object give 404", "off", (24,)),
    Fault("not_found", "these paths give 404 (`/teachers`, `/schools/{id}/classes`)", "PATHS", (24,)),
    Fault("forbidden", "these paths give 403", "PATHS", (27,)),
    Fault("unknown_school", "an unknown school is an empty list, or 403", "empty|403", (88,)),
    Fault("redirect", "every call is redirected to this URL", "URL"),
)

ERRORS = (
    Fault("fault_paths", "the faults of this group are limited to these paths", "PATHS"),
    Fault("server_error", "every call gives this status with an HTML page", "N", (91,)),
    Fault("fails_first", "the first so-many calls give 503", "N", (91,)),
    Fault("page_fails", "the page of this number gives 500, always", "N", (92,)),
    Fault("timeout_above", "504 for a limit above this", "N", (91, 94)),
    Fault("unauthorized_midway", "at the call of this number every token becomes worthless, once", "N", (23,)),
    Fault("unauthorized_after", "401 from the call of this number on, whatever the token", "N", (20, 23)),
    Fault("negotiate", "401 with WWW-Authenticate: Negotiate", "", (93,)),
    Fault("too_many", "the first so-many calls give 429", "N", (87,)),
    Fault("rate_limit", "429 above so many calls a second", "N", (87,)),
    Fault("parallel_limit", "429 above so many calls at a time", "N", (95,)),
    Fault(
        "retry_after", "Retry-After of a 429 or 503: seconds, a date two seconds ahead, or none", "N|date|off", (87,)
    ),
    Fault("failure_with_200", "a failure under status 200", "imsx|status_zero", (90,)),
    Fault("html_with_200", "a login page under status 200", "", (93,)),
    Fault("html_between", "every so-many-th call gives a page of a proxy under status 200", "N", (93,)),
    Fault("data_moves", "at the follow-up page of this number people join and leave, once", "N", (35, 36, 82)),
)

BYTES = (
    Fault("latency", "milliseconds before each answer", "N", (94,)),
    Fault("latency_per_record", "microseconds more for each record of the limit", "N", (94,)),
    Fault("latency_parallel", "milliseconds more for each call at the same time", "N", (95,)),
    Fault("slow_bytes", "the body comes at so many bytes a second", "N"),
    Fault("hangs", "the body stops after its first byte for so many seconds", "N"),
    Fault("truncated_json", "the body ends in the middle, with a matching Content-Length", ""),
    Fault("connection_cut", "the connection ends in the middle of the body", ""),
    Fault("huge_body", "a body of so many megabytes, valid JSON to the end", "N"),
    Fault("gzip", "bodies are compressed", ""),
    Fault("gzip_bomb", "a small compressed body of so many megabytes", "N"),
    Fault("bom", "a byte order mark before the JSON", ""),
    Fault("content_type", "JSON under another content type", "text|html|none", (93,)),
    Fault("charset", "the body is not UTF-8", "latin1"),
    Fault("deep_json", "lists nested some 100,000 deep", ""),
    Fault("empty_body", "no body at all, with 200", ""),
)

WIRE_FAULTS: tuple[Fault, ...] = (*ADDRESSES, *ERRORS, *BYTES)
