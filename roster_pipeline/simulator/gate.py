"""What may go wrong before a request reaches the data: refusals, limits, outages, other APIs at the address."""

from email.utils import formatdate
from time import monotonic, time
from typing import TYPE_CHECKING

from roster_pipeline.simulator.call import Answer, Call
from roster_pipeline.simulator.error_responses import RequestError, error_payload

if TYPE_CHECKING:
    from roster_pipeline.simulator.sis import Sis

PAGE_OF_A_PROXY = b"<html><head><title>Error</title></head><body><h1>The server is unavailable</h1></body></html>"
LOGIN_PAGE = b"<!DOCTYPE html><html><body><form action='/login'><input name='user'/></form></body></html>"
HTML = "text/html; charset=utf-8"
FOREIGN = [{"SchoolId": "1", "NameId": "77", "DisplayId": "A77"}, {"SchoolId": "1", "NameId": "78", "DisplayId": "A78"}]
JOINERS, LEAVERS = 5, 2
"""How many people `data_moves` moves."""


def early_reply(sis: "Sis", call: Call, at_once: int) -> Answer | None:
    """A reply that is given instead of the data, None if the request may go on. RequestError for the standard's own
    errors.

    at_once: how many requests are being answered, this one included.
    """
    faults = sis.faults
    if faults.on("redirect"):
        return Answer(302, b"", {"Location": faults.text("redirect")})
    if faults.on("foreign_api"):
        return Answer(200, FOREIGN)
    if faults.on("not_found") and call.resource in faults.names("not_found"):
        raise RequestError(404, "no such path")
    if faults.on("nested", "off") and len(call.names) > 1:
        raise RequestError(404, "no such path")
    if faults.on("forbidden") and call.resource in faults.names("forbidden"):
        raise RequestError(403, "not allowed for this application")
    if faults.on("fault_paths") and call.resource not in faults.names("fault_paths"):
        return None
    _throttle(sis, at_once)
    return _outage(sis, call) or _failure(sis, call)


def _throttle(sis: "Sis", at_once: int) -> None:
    faults = sis.faults
    if faults.on("too_many") and faults.count("too_many") <= faults.number("too_many"):
        raise RequestError(429, "too many requests", headers=_retry_after(sis))
    if faults.on("rate_limit"):
        now = monotonic()
        sis.recent = [moment for moment in sis.recent if now - moment < 1]
        if len(sis.recent) >= faults.number("rate_limit"):
            raise RequestError(429, "too many requests", headers=_retry_after(sis))
        sis.recent.append(now)
    if faults.on("parallel_limit") and at_once > faults.number("parallel_limit"):
        raise RequestError(429, "too many requests at a time", headers=_retry_after(sis))


def _retry_after(sis: "Sis") -> dict[str, str]:
    match sis.faults.value("retry_after"):
        case None:
            return {"Retry-After": "1"}
        case "off":
            return {}
        case "date":
            return {"Retry-After": formatdate(time() + 2, usegmt=True)}
        case seconds:
            return {"Retry-After": str(seconds)}


def _outage(sis: "Sis", call: Call) -> Answer | None:
    faults = sis.faults
    parameters = dict(call.parameters())
    limit, offset = _whole(parameters.get("limit"), 100), _whole(parameters.get("offset"), 0)
    if faults.on("server_error"):
        return Answer(faults.number("server_error", 500), PAGE_OF_A_PROXY, media_type=HTML)
    if faults.on("fails_first") and faults.count("fails_first") <= faults.number("fails_first"):
        return Answer(503, PAGE_OF_A_PROXY, _retry_after(sis) if faults.on("retry_after") else {}, HTML)
    if faults.on("page_fails") and limit > 0 and offset // limit + 1 == faults.number("page_fails"):
        raise RequestError(500, "something went wrong")
    if faults.on("timeout_above") and limit > faults.number("timeout_above"):
        return Answer(504, PAGE_OF_A_PROXY, media_type=HTML)
    if faults.on("unauthorized_midway") and faults.count("unauthorized_midway") == faults.number("unauthorized_midway"):
        sis.tokens.revoke_all()
        raise RequestError(401, "token ended")
    if faults.on("unauthorized_after") and faults.count("unauthorized_after") >= faults.number("unauthorized_after"):
        raise RequestError(401, "token ended")
    if faults.on("data_moves") and offset and faults.count("data_moves") == faults.number("data_moves"):
        sis.district.next_day(joiners=JOINERS, leavers=LEAVERS)
    return None


def _failure(sis: "Sis", call: Call) -> Answer | None:
    faults = sis.faults
    if faults.on("negotiate"):
        return Answer(401, b"", {"WWW-Authenticate": "Negotiate"}, HTML)
    if faults.on("html_between") and faults.count("html_between") % faults.number("html_between") == 0:
        return Answer(200, PAGE_OF_A_PROXY, media_type=HTML)
    if faults.on("html_with_200"):
        return Answer(200, LOGIN_PAGE, media_type=HTML)
    if faults.on("failure_with_200", "status_zero"):
        return Answer(200, {"status": 0, "message": "failed"})
    if faults.on("failure_with_200"):
        return Answer(200, error_payload("1.2", "internal_server_error", "something went wrong", "modern"))
    return None


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else default
