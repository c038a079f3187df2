"""A pull stays under a gigabyte with every server: bodies are limited as sent, decompressed and decoded."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roster_pipeline.runtime import preloaded
from roster_pipeline.simulator import running
from roster_pipeline_tests.oneroster import hostile
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, person

pytestmark = pytest.mark.timeout(300)
MEGABYTE = 1_000_000
MOST = 950
"""MB of resident memory that the process of a pull may reach."""


def zipped(pieces: Iterable[bytes], times: int = 1) -> bytes:
    packers = [zlib.compressobj(wbits=31) for _ in range(times)]
    whole = bytearray()
    for piece in pieces:
        for packer in packers:
            piece = packer.compress(piece)
        whole += piece
    for place, packer in enumerate(packers):
        rest = packer.flush()
        for later in packers[place + 1 :]:
            rest = later.compress(rest)
        whole += rest
    return bytes(whole)


def filled(piece: bytes, size: int, before: bytes = b'{"users":[', after: bytes = b"]}") -> Iterator[bytes]:
    """A list of `size` bytes of such pieces, a megabyte at a time."""
    yield before
    many = piece * (MEGABYTE // len(piece))
    for _ in range(size // len(many)):
        yield many
    yield piece[:-1] + after


def usual(number: int) -> Iterator[bytes]:
    yield b'{"users":['
    for one in range(number):
        yield b'{"sourcedId":"a%d"},' % one
    yield b'{"sourcedId":"b"}]}'


BROKEN = '["\U0001f600\ud800",'.encode("utf-8", "surrogatepass")
ORGS = b'{"sourcedId":"p","role":"student","orgs":['
HOSTILE: dict[str, Callable[[], Response]] = {
    "empty objects, well compressed": lambda: packed(filled(b"{},", 48 * MEGABYTE)),
    "lists": lambda: packed(filled(b"[[]],", 48 * MEGABYTE)),
    "texts": lambda: packed(filled(b'"ab",', 60 * MEGABYTE)),
    "members": lambda: packed(filled(b'{"a":1,"b":2},', 60 * MEGABYTE)),
    "zeros without end": lambda: packed(filled(b"0,", 300 * MEGABYTE)),
    "compressed twice": lambda: packed(filled(b"{},", 200 * MEGABYTE), 2),
    "one broken character": lambda: packed(filled(b"{},", 30 * MEGABYTE, BROKEN, b"]")),
    "an error page of 60 MB": lambda: packed(filled(b"{},", 60 * MEGABYTE), status=500),
    "a person in a million schools": lambda: packed(filled(b'"s",', 8 * MEGABYTE, b'{"users":[' + ORGS, b"]}]}")),
    "two million people without a name": lambda: packed(usual(2_000_000)),
}


def packed(pieces: Iterable[bytes], times: int = 1, status: int = 200) -> Response:
    headers = {"Content-Encoding": ", ".join(["gzip"] * times), "Content-Type": "application/json"}
    return Response(zipped(pieces, times), status, headers)


@contextmanager
def serving(made: Callable[[], Response], *, late: bool = False) -> Any:
    """late: the first page of people is good and announces many more, so that pages are requested ahead."""
    bad = made()

    async def answer(request: Request) -> Response:
        path, query = request.url.path, request.query_params
        if path.endswith("/orgs"):
            return JSONResponse({"orgs": [SCHOOL]})
        if not path.endswith("/users"):
            return Response(status_code=404)
        if late and int(query.get("offset", 0)) < 1000:
            count = int(query.get("limit", 100))
            people = [person(f"p-{number}") for number in range(count)]
            return JSONResponse({"users": people}, headers={"X-Total-Count": "100000"})
        total = {"X-Total-Count": "100000"} if late else {}
        return Response(bad.body, bad.status_code, dict(bad.headers) | total)

    with running(Starlette(routes=[Route("/{path:path}", answer)])) as base:
        yield base


@pytest.fixture(autouse=True, scope="module")
def own_host() -> Iterator[None]:
    """A preloaded host of its own, because everything that a host has loaded counts in each of its processes."""
    with mock.patch.object(preloaded, "_host", None):
        yield
        if preloaded._host is not None:
            preloaded._host.close()


def peak(base: str, folder: Path) -> tuple[str, int]:
    """The result of a pull in a process of its own, and its peak memory in MB."""
    told = folder / "told"
    pulling = preloaded.start(hostile.__name__, [base, str(told)], os.environ, [hostile.__name__])
    assert pulling.wait(2 * hostile.HANGS_AFTER) == 0, told.read_text("ascii")
    said, _, megabytes = told.read_text("ascii").rpartition(" ")
    return said, int(megabytes)


AHEAD = ["empty objects, well compressed", "a person in a million schools"]


@pytest.mark.parametrize(("name", "late"), [*[(name, False) for name in HOSTILE], *[(name, True) for name in AHEAD]])
def test_a_pull_stays_under_a_gigabyte(name: str, late: bool, tmp_path: Path) -> None:
    with serving(HOSTILE[name], late=late) as base:
        said, megabytes = peak(base, tmp_path)
    assert megabytes < MOST, said
    assert said in ("TooLarge", "Malformed", "ServerFailed", "PagingBroken"), said


def test_a_district_that_comes_in_one_answer_is_read(tmp_path: Path) -> None:
    def answer() -> Response:
        return JSONResponse({"users": [person(f"p-{number}") for number in range(50_003)]})

    with serving(answer) as base:
        said, megabytes = peak(base, tmp_path)
    assert said == "50004 records", "and the school"
    assert megabytes < MOST


def test_a_body_that_is_refused_is_freed_although_its_error_is_kept() -> None:
    import tracemalloc

    from roster_pipeline.oneroster.errors import TooLarge
    from roster_pipeline.oneroster.http.throttle import LargeBody, read_body

    tracemalloc.start()
    parts = (bytes(MEGABYTE) for _ in range(40))
    with LargeBody() as large, pytest.raises(TooLarge) as kept:
        read_body(parts, "", "/users", 30 * MEGABYTE, until=float("inf"), large=large)
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.value.__traceback__ is not None
    assert now < 3 * MEGABYTE
