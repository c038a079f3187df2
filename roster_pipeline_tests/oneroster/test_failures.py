"""Quirks 87 to 95, and 19: failures, their messages and retries."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline.oneroster import (
    AddressNotAllowed,
    Busy,
    Client,
    Endpoint,
    Malformed,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
    SignInRefused,
    TlsFailed,
    TooLarge,
    TooSlow,
    Unreachable,
)
from roster_pipeline.oneroster.errors import TokenFailed
from roster_pipeline.oneroster.http.error_mapping import named_elsewhere
from roster_pipeline.oneroster.http.network import MOST_COOKIES, http_client, network_failure
from roster_pipeline.simulator import District
from roster_pipeline.sync import CREDENTIALS, explain
from roster_pipeline_tests.certificates import private_authority
from roster_pipeline_tests.oneroster.client_helpers import (
    Pulled,
    Served,
    Start,
    TestClock,
    pulled_by,
    quicker,
    serve,
)
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, odd, page, person, told_of


def connected(served: Served, fault: str, **settings: Any) -> Any:
    """Pull with a client that was connected before the fault came."""
    with served.client(**settings) as client:
        client.connect()
        served.sis.faults.set(fault)
        return pulled_by(client)


def test_q19_a_certificate_of_an_own_authority_is_believed_only_with_its_bundle(
    small_district: District, tmp_path: Path
) -> None:
    made = private_authority(tmp_path)
    tls = {"ssl_certfile": str(made.certificate), "ssl_keyfile": str(made.key)}
    served = serve(small_district, tls=tls)
    try:
        with served.client() as client, pytest.raises(TlsFailed, match="could not be verified"):
            client.connect()
        assert served.pull(ca_bundle=str(made.authority)).complete
        assert served.pull(ca_bundle=made.authority.read_text()).complete
        assert served.pull(ca_bundle=str(made.certificate)).complete, "the certificate that a browser shows"
    finally:
        served.stop()


@pytest.mark.parametrize(
    ("made", "message", "remedy"),
    [
        ({"expired": True}, "expired", "renew its certificate"),
        ({"address": "192.0.2.1"}, "not valid for", "host name for which the certificate was made"),
    ],
)
def test_q19_a_remedy_fits_what_is_wrong_with_a_certificate(
    small_district: District, tmp_path: Path, made: dict[str, Any], message: str, remedy: str
) -> None:
    files = private_authority(tmp_path, **made)
    served = serve(small_district, tls={"ssl_certfile": str(files.certificate), "ssl_keyfile": str(files.key)})
    try:
        with served.client(ca_bundle=str(files.authority)) as client, pytest.raises(TlsFailed, match=message) as failed:
            client.connect()
        assert remedy in failed.value.remedy
    finally:
        served.stop()


def test_a_server_that_requires_a_client_certificate_gets_a_clear_message() -> None:
    alert = ssl.SSLError(1, "tlsv13 alert certificate required")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    broken = httpx.ReadError("")
    broken.__cause__ = alert
    assert "certificate of ours" in network_failure(broken, "sis.example.org", "/orgs").message


def test_q87_too_many_requests_without_retry_after_backs_off_and_goes_on(sis: Start) -> None:
    served = sis("retry_after=off")
    pulled = connected(served, "too_many=3")
    assert pulled.complete
    assert pulled.proof.retries == 3
    assert served.time.waits == sorted(served.time.waits)


@pytest.mark.parametrize("spelled", ["7", "date"])
def test_q87_retry_after_is_honoured(sis: Start, spelled: str) -> None:
    served = sis(f"retry_after={spelled}")
    assert connected(served, "too_many=1", parallel=1).complete
    assert max(served.time.waits) >= (7 if spelled == "7" else 0.5)


def test_q87_a_server_that_stays_busy_fails_within_the_budget(sis: Start) -> None:
    served = sis()
    with pytest.raises(Busy, match="429"):
        connected(served, "too_many=1000")
    assert sum(served.time.waits) <= 60


@pytest.mark.parametrize("shape", ["errors", "statusInfoSet", "wrapped", "bare", "modern", "plain"])
def test_q89_an_error_in_any_shape_is_said_by_its_code(sis: Start, shape: str) -> None:
    served = sis(f"error_shape={shape}", "forbidden=/users,/students,/teachers", "nested=off")
    with served.client() as client, pytest.raises(OneRosterError) as problem:
        pulled_by(client)
    assert "403" in problem.value.message
    assert ("forbidden" in problem.value.message) == (shape != "plain")


def test_q89_free_text_of_the_server_is_never_shown() -> None:
    def answers(path: str, query: Mapping[str, str]) -> Any:
        said = {"imsx_codeMajor": "failure", "imsx_severity": "error", "imsx_description": "Mira Oduya broke it"}
        said["imsx_CodeMinor"] = {"imsx_codeMinorField": [{"imsx_codeMinorFieldValue": "Mira Oduya"}]}  # type: ignore[assignment]
        return JSONResponse(said, status_code=500) if path == "/users" else None

    with odd(answers) as client, pytest.raises(ServerFailed) as problem:
        pulled_by(client)
    assert "Oduya" not in str(problem.value)


ENDS: list[tuple[str, type[OneRosterError], str | None, dict[str, Any]]] = [
    ("failure_with_200=imsx", ServerFailed, None, {}),
    ("failure_with_200=status_zero", ServerFailed, None, {}),
    ("envelope=missing", ServerFailed, None, {}),
    ("connection_cut", Unreachable, "broke", {}),
    ("slow_bytes=20", TooSlow, "not complete", {"limits": quicker(response_seconds=1.0)}),
    ("hangs=3", TooSlow, None, {"limits": quicker(read_seconds=0.3), "page_size": 25}),
    ("huge_body=12", TooLarge, "larger than", {"limits": quicker(response_bytes=8_000_000), "page_size": 25}),
    ("gzip_bomb=12", TooLarge, "larger than", {"limits": quicker(response_bytes=8_000_000), "page_size": 25}),
    ("redirect=https://other.example/", Redirected, r"other\.example", {}),
]


@pytest.mark.parametrize(("fault", "kind", "said", "settings"), ENDS, ids=[row[0] for row in ENDS])
def test_q90_what_ends_a_pull_is_named(
    sis: Start, fault: str, kind: type[OneRosterError], said: str | None, settings: dict[str, Any]
) -> None:
    with pytest.raises(kind, match=said):
        connected(sis(), fault, **settings)


def test_q91_a_page_that_is_too_heavy_is_asked_for_in_smaller_pieces(sis: Start) -> None:
    served = sis()
    with served.client(page_size=200) as client:
        client.connect()
        served.sis.faults.set("timeout_above=60")
        pulled = pulled_by(client)
        assert client.learned["paging"]["limit"] == 50
    assert pulled.complete
    assert len(pulled.ids) == len(served.sis.district)


def test_q91_a_passing_failure_is_tried_again(sis: Start) -> None:
    pulled = connected(sis(), "fails_first=3")
    assert pulled.complete
    assert pulled.proof.retries >= 2


def test_q92_a_page_that_fails_for_good_fails_the_pull() -> None:
    people = [person(f"s-{number}") for number in range(300)]

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path != "/users":
            return None
        start, size = int(query.get("offset", 0)), int(query.get("limit", 100))
        return Response(status_code=500) if start <= 120 < start + size else page(people, query)

    with odd(answers) as client, pytest.raises(ServerFailed, match="500"):
        pulled_by(client)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("html_with_200", NotOneRoster, "other than JSON"),
        ("negotiate", NotOneRoster, "Windows sign-in"),
        ("empty_body", Malformed, "empty"),
        ("truncated_json", Malformed, "cut-off"),
        ("deep_json", Malformed, "has no list of"),
    ],
)
def test_q93_what_is_no_oneroster_answer_is_named(
    sis: Start, fault: str, kind: type[OneRosterError], said: str
) -> None:
    for served in (sis(fault), sis()):
        with pytest.raises(kind, match=said):
            connected(served, fault)


def test_q93_a_page_of_a_proxy_in_the_middle_of_a_listing_will_pass(sis: Start) -> None:
    served = sis()
    with served.client(page_size=20) as client:
        client.connect()
        served.sis.faults.set("html_between=4")
        pulled = pulled_by(client)
    assert pulled.complete
    assert len(pulled.ids) == len(served.sis.district)
    assert pulled.proof.retries


def test_q93_a_token_address_that_fails_is_no_wrong_password(sis: Start) -> None:
    with sis("token_error=503").client() as client, pytest.raises(TokenFailed, match="token address"):
        client.connect()


def test_q94_a_slow_large_page_is_halved(sis: Start) -> None:
    served = sis()
    with served.client(page_size=100, limits=quicker(read_seconds=0.3)) as client:
        client.connect()
        served.sis.faults.set("latency_per_record=5000")
        pulled = pulled_by(client)
    assert pulled.complete
    assert len(pulled.ids) == len(served.sis.district)


def test_q95_a_server_that_takes_two_at_a_time_gets_fewer(sis: Start) -> None:
    served = sis()
    with served.client(page_size=10) as client:
        client.connect()
        served.sis.faults.set("parallel_limit=2", "latency=20")
        assert pulled_by(client).complete
        assert client.session.parallel <= 2 or served.sis.log.most_at_once <= 2


def test_a_missing_server_is_reported_at_once(sis: Start) -> None:
    served = sis()
    served.stop()
    with served.client() as client, pytest.raises(Unreachable, match=r"cannot be reached \(no connection\)"):
        client.connect()
    with (
        sis().client(base_url="https://sis.riverside.invalid") as client,
        pytest.raises(Unreachable, match="has this name"),
    ):
        client.connect()


def people_with(path: str, **headers: str) -> Pulled:
    """A pull from a server that sends these headers with its answers to one path. A Location makes it a redirect."""
    status = 302 if "Location" in headers else 200

    def answers(asked: str, query: Mapping[str, str]) -> Any:
        found = page([person("s-1"), person("s-2", identifier="7")], query) if asked == "/users" else None
        if asked != path:
            return found
        answer = found or page([SCHOOL], query, "orgs")
        answer.status_code = status
        for name, value in headers.items():
            answer.raw_headers.append((name.replace("_", "-").lower().encode(), value.encode("utf-8")))
        return answer

    with odd(answers) as client:
        return pulled_by(client)


@pytest.mark.parametrize("path", ["/orgs", "/users"])
@pytest.mark.parametrize(
    "target",
    [
        *("https://[", "https://sis.example:99999/", "https://[v1.a]/", "/" + "x" * 66_000),
        *("https://mira oduya/", "https://<b>mira</b>/", f"https://{'a.' * 3000}org/", f"https://xn--{'a' * 400}.org/"),
    ],
)
def test_an_unreadable_redirect_gets_a_message_that_repeats_nothing(path: str, target: str) -> None:
    with pytest.raises(OneRosterError) as problem:
        people_with(path, Location=target)
    assert isinstance(problem.value, Redirected | Unreachable)
    assert target not in str(problem.value)
    assert not re.search(r"mira|a\.a\.|xn--", str(problem.value))


def test_a_redirect_that_only_adds_a_slash_keeps_the_page() -> None:
    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path == "/users":
            return Response(status_code=301, headers={"Location": "users/"})
        return page([person(f"s-{number}") for number in range(120)], query) if path == "/users/" else None

    with odd(answers) as client:
        pulled = pulled_by(client)
    assert pulled.complete
    assert len(pulled.ids) == 120


@pytest.mark.parametrize("path", ["/orgs", "/users"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Set_Cookie", "name=Zoé; path=/"),
        ("Set_Cookie", "é=1"),
        ("Set_Cookie", f"long={'x' * 10_000}"),
        ("Content_Encoding", "utf-8"),
        ("Content_Encoding", "none, identity"),
        ("Date", "Fri, 31 Dec 9999 23:59:59 -1200"),
        ("Date", "Mon, 01 Jan 0001 00:00:00 +1200"),
        ("Date", "Sat, 01 Jan 2022 00:00:00 -0000"),
        ("Date", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"),
    ],
)
def test_a_header_that_is_of_no_use_ends_no_pull(path: str, name: str, value: str) -> None:
    pulled = people_with(path, **{name: value})
    assert pulled.complete
    assert len(pulled.users) == 2


def test_the_cookies_of_a_session_stay_few() -> None:
    with http_client(Endpoint("https://sis.example.org")) as client:
        for number in range(10 * MOST_COOKIES):
            client.cookies.set(f"session-{number}", "1")
        assert 0 < len(client.cookies) <= MOST_COOKIES
        assert client.cookies[f"session-{number}"] == "1"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_a_compression_that_was_not_asked_for_is_named(encoding: str) -> None:
    with pytest.raises(Malformed, match="compression"):
        people_with("/users", Content_Encoding=encoding)


@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "rot13", "utf-9", "utf-8; charset=undefined"])
def test_a_character_set_that_no_web_server_has_is_ignored(charset: str) -> None:
    """Python's codecs of these names raise errors of their own, or need hours for a long text."""
    kind = f"application/json; charset={charset}"

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path != "/users":
            return None
        body = b"\xef\xbb\xbf" + JSONResponse({"users": window(query)}).body
        return Response(body, headers={"Content-Type": kind})

    def window(query: Mapping[str, str]) -> list[Any]:
        return [person("s-1", givenName="Zoé")][int(query.get("offset", 0)) :]

    with odd(answers) as client:
        assert pulled_by(client).user("s-1")["givenName"] == "Zoé"
    page_of_words = Response("<html>Zoé</html>", status_code=403, headers={"Content-Type": kind})
    with odd(lambda path, query: page_of_words) as client, pytest.raises(Refused):
        pulled_by(client)


@pytest.mark.parametrize("wait", ["inf", "nan", "-5", "soon", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", "9" * 400])
def test_an_unreadable_retry_after_is_ignored(wait: str) -> None:
    busy = Response(status_code=429, headers={"Retry-After": wait})
    with odd(lambda path, query: busy) as client, pytest.raises(Busy):
        pulled_by(client)


def test_private_addresses_are_refused_unless_allowed(sis: Start) -> None:
    served = sis()
    with served.client(allow_private=False) as client, pytest.raises(AddressNotAllowed):
        client.connect()
    assert not served.requests


def test_unencrypted_addresses_are_for_this_machine_alone() -> None:
    with odd(lambda path, query: None) as client, pytest.raises(AddressNotAllowed, match="not encrypted"):
        client.session.get("http://sis.example.org/orgs", "/orgs")


def refused_at(path: str, offset: int, status: int) -> OneRosterError:
    """The end of a pull if the server refuses one collection from some record on."""

    def answers(asked: str, query: Mapping[str, str]) -> Any:
        if asked in (path, "/students", "/teachers") and int(query.get("offset", 0)) >= offset:
            return Response(status_code=status)
        return page([person(f"s-{number}") for number in range(200)], query) if asked == "/users" else None

    with odd(answers) as client, pytest.raises(OneRosterError) as problem:
        pulled_by(client)
    return problem.value


def test_a_401_in_the_middle_of_a_list_is_not_called_a_wrong_secret() -> None:
    problem = refused_at("/users", 100, 401)
    assert "in the middle of a list" in problem.message
    assert "need not enter them again" in problem.remedy
    assert problem.retryable


def test_a_refused_token_is_not_called_a_wrong_secret() -> None:
    refuses = False

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path == "/token":
            return {"access_token": "given"}
        return Response(status_code=401) if refuses else None

    with odd(answers, open_server=False) as client:
        token_url = f"{client.endpoint.base_url}/ims/oneroster/rostering/v1p2/token"
        endpoint = replace(client.endpoint, token_url=token_url)
        with Client(endpoint) as works:
            works.connect()
        refuses = True
        for learned in ({}, works.learned):
            with Client(replace(endpoint, learned=learned)) as other, pytest.raises(SignInRefused) as problem:
                list(other.orgs())
            assert "gave us a token, but refuses it" in problem.value.message
            assert "need not enter them again" in problem.value.remedy
            assert problem.value.retryable == bool(learned)
            cause = explain("lincoln", problem.value).cause
            assert (cause == CREDENTIALS) is not bool(learned)


LATER = "tried again at the next sync"


@pytest.mark.parametrize(
    ("now", "message", "remedy"),
    [
        (Response(b"<html>", 200), "no longer gives tokens", LATER),
        (Response(status_code=404), "no longer gives tokens", LATER),
        (Response(status_code=302, headers={"Location": "/login"}), "no longer gives tokens", LATER),
        (Response(status_code=307, headers={"Location": "https://x.example/"}), "another host", "may be maintenance"),
        (JSONResponse({"error": "server_error"}), "SIS failed .200 server_error", LATER),
        (JSONResponse({"error": "temporarily_unavailable"}, 400), "SIS failed .400 temporarily", LATER),
        (Response(b"<html>", 403), "refused the sign-in .403", "a firewall"),
        (Response(status_code=403, headers={"Retry-After": "1"}), "is limiting our requests .403", LATER),
        (Response(status_code=500), "failed at its token address .500", LATER),
    ],
)
def test_a_token_address_that_gave_tokens_before_and_fails_now_is_no_wrong_secret(
    now: Response, message: str, remedy: str
) -> None:
    asked: list[str] = []
    answer: Response = JSONResponse({"access_token": "given"})

    def answers(path: str, query: Mapping[str, str]) -> Any:
        asked.append(path)
        return answer if path == "/token" else None

    with odd(answers, open_server=False) as client:
        client.connect()
        answer = now
        asked.clear()
        endpoint = replace(client.endpoint, learned=client.learned)
        with Client(endpoint, TestClock().clock) as other, pytest.raises(OneRosterError, match=message) as problem:
            other.find_org("sch-1")
    assert remedy in problem.value.remedy
    assert problem.value.retryable
    assert explain("lincoln", problem.value).cause != CREDENTIALS
    assert asked.count("/token") <= 20


def test_a_user_name_in_a_redirect_does_not_look_like_the_host() -> None:
    shown = named_elsewhere("https://sis.example.org:1@evil.example/token?secret=1").message
    assert shown.endswith("on another host: https://evil.example/token")


def test_a_request_that_worked_before_and_is_refused_now_may_work_again() -> None:
    refuses = False
    with odd(lambda path, query: Response(status_code=400) if refuses else None) as client:
        client.connect()
        refuses = True
        with pytest.raises(RequestRefused, match="refused the request for /orgs") as problem:
            list(client.orgs())
        assert not problem.value.retryable
        endpoint = replace(client.endpoint, learned=client.learned)
        with Client(endpoint) as other, pytest.raises(RequestRefused) as problem:
            list(other.orgs())
    assert problem.value.retryable
    assert "has worked before" in problem.value.remedy


def test_orgs_that_are_refused_are_read_as_schools() -> None:
    refuses = False

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path == "/schools":
            return page([SCHOOL], query, "orgs")
        return Response(status_code=400) if refuses else None

    with odd(answers) as client:
        client.connect()
        refuses = True
        assert [org["sourcedId"] for org in client.orgs()] == ["sch-1"]


def test_a_403_that_says_when_to_come_again_is_a_quota() -> None:
    asked: list[str] = []

    def answers(query: Mapping[str, str]) -> Response:
        asked.append("")
        quota = Response(status_code=403, headers={"Retry-After": "1"})
        return quota if len(asked) in (1, 3) else page([person(f"s-{number}") for number in range(99)], query)

    assert told_of(answers).complete


def test_a_web_page_as_refusal_may_be_of_a_firewall() -> None:
    def blocked(path: str, query: Mapping[str, str]) -> Response:
        return Response("\n<!DOCTYPE html><title>Blocked</title>", 403)

    with odd(blocked) as client, pytest.raises(Refused) as of_data:
        client.connect()
    with odd(blocked, open_server=False) as client:
        endpoint = replace(client.endpoint, token_url=f"{client.endpoint.base_url}/ims/oneroster/rostering/v1p2/token")
        with Client(endpoint) as other, pytest.raises(SignInRefused) as of_token:
            other.connect()
    assert "firewall" in of_data.value.remedy
    assert "firewall" in of_token.value.remedy


def test_a_403_says_what_has_to_be_granted() -> None:
    problem = refused_at("/users", 0, 403)
    assert "Grant reading of all users" in problem.remedy
    assert "firewall" not in problem.remedy
    assert not problem.retryable
    later = refused_at("/users", 100, 403)
    assert later.retryable, "it was allowed a moment ago"
    assert "Grant" not in later.remedy
