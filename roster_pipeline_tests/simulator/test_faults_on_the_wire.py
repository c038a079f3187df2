"""Faults of paging, filtering, errors and bytes."""

import gzip
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from roster_pipeline.simulator import Sis
from roster_pipeline_tests.simulator.conftest import Api


def next_url(answer: httpx.Response) -> str:
    return answer.links.get("next", {}).get("url", "")


class Walker(Api):
    """Moves the offset by the requested number, not by the received one, like careless clients."""

    def walk_some(self, offset: int) -> list[str]:
        return [record["sourcedId"] for record in self.users(limit=50, offset=offset)]

    def walk_pages(self) -> list[str]:
        return [sourced_id for offset in range(0, 250, 50) for sourced_id in self.walk_some(offset)]


PAGING: list[tuple[str, Callable[[Walker], object]]] = [
    ("page_cap=20", lambda api: len(api.users(limit=100)) == 20 and len(set(api.walk())) == len(api.walk())),
    ("page_cap=20", lambda api: next_url(api.get("/users", limit=100)).endswith("limit=20&offset=20")),
    ("page_cap_error=500", lambda api: api.get("/users", limit=501).status_code == 400),
    ("limit_zero=count", lambda api: api.get("/users", limit=0).json() == {"users": []}),
    ("link=off", lambda api: "Link" not in api.get("/users").headers),
    ("link_style=no_brackets", lambda api: "<" not in api.get("/users").headers["Link"]),
    ("link_style=typographic", lambda api: '"' not in api.get("/users").headers["Link"]),
    ("link_style=garbage", lambda api: api.get("/users").headers["Link"] == ";;rel==next"),
    ("link_next=always", lambda api: next_url(api.get("/users", limit=5000))),
    ("link_next=repeat", lambda api: next_url(api.get("/users", offset=100)).endswith("offset=100")),
    ("link_next=back", lambda api: next_url(api.get("/users", offset=100)).endswith("offset=0")),
    ("link_next=off_by_one", lambda api: next_url(api.get("/users")).endswith("offset=101")),
    ("link_next=exact_multiple", lambda api: next_url(api.get("/students", limit=60, offset=120))),
    ("link_next=missing", lambda api: not next_url(api.get("/users"))),
    ("link_target=localhost", lambda api: next_url(api.get("/users")).startswith("http://localhost:443/ims")),
    ("link_target=other_host", lambda api: "elsewhere.example" in next_url(api.get("/users"))),
    ("link_target=relative", lambda api: next_url(api.get("/users")).startswith("/ims")),
    ("link_target=port", lambda api: ":443/" in next_url(api.get("/users"))),
    ("link_target=comma", lambda api: api.get("/users").headers["Link"].endswith(",")),
    ("link_drops_query", lambda api: "filter" not in next_url(api.get("/users", limit=1, filter="status='active'"))),
    ("offset_ignored", lambda api: api.users(limit=10) == api.users(limit=10, offset=50)),
    ("total_header=off", lambda api: "X-Total-Count" not in api.get("/users").headers),
    ("total_header=some", lambda api: "X-Total-Count" not in api.get("/users").headers),
    ("total_header=high", lambda api: int(api.get("/users").headers["X-Total-Count"]) == len(api.users()) + 7),
    ("total_header=text", lambda api: api.get("/users").headers["X-Total-Count"] == "many"),
    ("total_header=drifting", lambda api: len({api.get("/users").headers["X-Total-Count"] for _ in range(3)}) == 3),
    ("total_header=unfiltered",
     lambda api: int(api.get("/users", filter="status='x'").headers["X-Total-Count"]) == len(api.users())),
    ("shuffle_ties", lambda api: api.users(limit=10) != api.users(limit=10)),
    ("perm_rev=flip", lambda api: [api.get("/users").headers["x-perm-rev"] for _ in range(4)] == ["1", "1", "2", "2"]),
    ("offset_unit=page", lambda api: api.users(limit=10, offset=2)[0]["sourcedId"] == "u-1020"),
    ("endless_pages=repeat", lambda api: len(api.users(limit=100, offset=9000)) > 0),
    ("endless_pages=fresh", lambda api: not set(api.walk_some(1000)) & set(api.walk_some(2000))),
    ("past_end=empty_object", lambda api: api.get("/users", offset=9000).json() == {}),
    ("sort_refused=500", lambda api: api.get("/users", sort="sourcedId").status_code == 500),
    ("past_end=204", lambda api: api.get("/users", offset=9000).status_code == 204),
    ("record_missing", lambda api: len(set(api.walk())) < len(api.sis.district)),
    ("record_doubled", lambda api: len(api.walk_pages()) > len(set(api.walk_pages()))),
    ("duplicate_ids", lambda api: len({r["sourcedId"] for r in api.users(limit=50)}) == 49),
    ("filter_ignored=all", lambda api: len(api.users(filter="status='x'")) == len(api.users())),
    ("filter_ignored=nested", lambda api: len(api.users(filter="roles.role='student'")) == len(api.users())),
    ("filter_ignored=dateLastModified",
     lambda api: len(api.users(filter="dateLastModified>'2030-01-01'")) == len(api.users())),
    ("strict_query", lambda api: api.get("/users", page=1).status_code == 400),
    ("strict_query", lambda api: api.get("/users", filter="familyName='x'").status_code == 400),
    ("filter_unknown=empty", lambda api: api.users(filter="shoe='9'") == []),
    ("filter_broken=everything", lambda api: len(api.users(filter="role=student")) == len(api.users())),
    ("filter_refused=500", lambda api: api.get("/users", filter="status='active'").status_code == 500),
    ("filter_empty", lambda api: api.users(filter="status='active'") == []),
    ("sort_ignored", lambda api: api.users(sort="familyName") == api.users()),
    ("no_match=404", lambda api: api.get("/users", filter="status='x'").status_code == 404),
    (
        "dates_compared=by_day",
        lambda api: (
            api.users(filter=f"dateLastModified>'{datetime.now(UTC).date()}T00:00:00Z'") == []
            and api.users(filter="dateLastModified>'1990-01-01T00:00:00Z'") != []
        ),
    ),
    ("error_shape=statusInfoSet", lambda api: "statusInfoSet" in api.get("/users/x").json()),
    ("error_shape=errors", lambda api: "errors" in api.get("/users/x").json()),
    ("error_shape=wrapped", lambda api: "imsx_StatusInfo" in api.get("/users/x").json()),
    ("error_shape=plain", lambda api: api.get("/users/x").headers["Content-Type"].startswith("text/plain")),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "shows"), PAGING)
def test_paging_and_filtering(api: Api, sis: Sis, fault: str, shows: Callable[[Walker], object]) -> None:
    sis.faults.set(fault)
    assert shows(Walker(api.http, sis, token=api.token))


def test_limits_above_a_threshold_time_out(api: Api, sis: Sis) -> None:
    sis.faults.set("timeout_above=1000")
    assert [api.get("/users", limit=limit).status_code for limit in (1000, 1001)] == [200, 504]


def test_errors_come_when_they_are_due(api: Api, sis: Sis) -> None:
    def statuses(fault: str, *more: str, calls: int = 4) -> list[int]:
        sis.faults.clear()
        sis.faults.set(fault, *more)
        return [api.get("/users", limit=50, offset=50 * n).status_code for n in range(calls)]

    assert statuses("server_error=502") == [502] * 4
    assert statuses("fails_first=2") == [503, 503, 200, 200]
    assert statuses("unauthorized_after=3") == [200, 200, 401, 401]
    assert statuses("too_many=1", "retry_after=7") == [429, 200, 200, 200]
    assert statuses("rate_limit=2") == [200, 200, 429, 429]
    assert statuses("negotiate") == [401] * 4
    assert statuses("server_error=500", "fault_paths=/teachers") == [200] * 4
    assert statuses("unauthorized_midway=2") == [200, 401, 401, 401]
    api.sign_in()
    assert api.get("/users").status_code == 200


def test_retry_after_is_seconds_a_date_or_missing(api: Api, sis: Sis) -> None:
    sis.faults.set("too_many=100")
    assert api.get("/users").headers["Retry-After"] == "1"
    sis.faults.set("retry_after=date")
    assert api.get("/users").headers["Retry-After"].endswith("GMT")
    sis.faults.set("retry_after=off")
    assert "Retry-After" not in api.get("/users").headers
    assert "server_busy" in api.get("/users").text


def test_failures_can_look_like_success(api: Api, sis: Sis) -> None:
    sis.faults.set("failure_with_200=imsx")
    assert api.get("/users").json()["imsx_codeMajor"] == "failure"
    sis.faults.set("failure_with_200=status_zero")
    assert api.get("/users").json()["status"] == 0
    sis.faults.set("html_between=2")
    assert [api.get("/users").text.startswith("<html") for _ in range(4)] == [False, True, False, True]
    sis.faults.clear()
    sis.faults.set("html_with_200")
    assert api.get("/users").headers["Content-Type"].startswith("text/html")
    sis.faults.clear()
    sis.faults.set("token_error=200")
    assert api.sign_in().text.startswith("<html>") if api.http.post("/token").status_code != 200 else True


def test_bodies_go_wrong(api: Api, sis: Sis) -> None:
    good = api.get("/users").content

    def body(fault: str) -> httpx.Response:
        sis.faults.clear()
        sis.faults.set(fault)
        return api.get("/users")

    assert body("truncated_json").content == good[: len(good) * 2 // 3]
    assert body("gzip").content == good
    assert body("bom").content == b"\xef\xbb\xbf" + good
    assert body("content_type=text").headers["Content-Type"].startswith("text/plain")
    assert "Content-Type" not in body("content_type=none").headers
    assert body("empty_body").content == b""
    assert body("huge_body=3").json() == json.loads(good)
    assert len(body("huge_body=3").content) > 3_000_000
    with pytest.raises(UnicodeDecodeError):
        body("charset=latin1").content.decode()
    with pytest.raises(RecursionError):
        json.loads(body("deep_json").content)
    with pytest.raises(httpx.RemoteProtocolError):
        body("connection_cut")
    sis.faults.clear()
    sis.faults.set("gzip_bomb=20")
    with api.http.stream(
        "GET", "/ims/oneroster/v1p1/users", headers={"Authorization": f"Bearer {api.token}"}
    ) as answer:
        packed = b"".join(answer.iter_raw())
    assert len(packed) < 100_000
    assert json.loads(gzip.decompress(packed)).keys() == {"users"}


def test_time_can_be_wasted(api: Api, sis: Sis) -> None:
    def seconds(*faults: str, **parameters: object) -> float:
        sis.faults.clear()
        sis.faults.set(*faults)
        start = time.perf_counter()
        api.get("/users", "", **{"limit": 1, **parameters})
        return time.perf_counter() - start

    assert seconds("latency=150") > 0.14
    assert seconds("latency_per_record=200", limit=1000) > 0.19
    assert seconds("slow_bytes=4000") > 0.1
    sis.faults.clear()
    sis.faults.set("hangs=1")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(
            f"{str(api.http.base_url).rstrip(chr(47))}/ims/oneroster/v1p1/users",
            headers={"Authorization": f"Bearer {api.token}"},
            timeout=0.2,
        )


def test_calls_at_the_same_time_are_limited(api: Api, sis: Sis) -> None:
    sis.faults.set("latency=100", "parallel_limit=2")
    with ThreadPoolExecutor(5) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(lambda _: api.get("/users"), range(5)))
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert sis.log.most_at_once > 2
