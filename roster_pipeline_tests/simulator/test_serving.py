"""Servers, sites of several districts, TLS, the command, the page cache."""

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.simulator import Sis, create_app, create_site, generate_district, running
from roster_pipeline.simulator.__main__ import fault_lines, main, site_option
from roster_pipeline_tests.certificates import private_authority
from roster_pipeline_tests.simulator.conftest import ROOTS, Api


def test_several_districts_stand_below_prefixes_of_one_server() -> None:
    two = Sis(generate_district(1, 2, 20), prefix="/sis-a", versions=["1.2"])
    one = Sis(generate_district(2, 1, 20), prefix="/sis-b", versions=["1.1"], credentials={"b": "b-secret"})
    with running(create_site([two, one])) as base, httpx.Client(base_url=base) as http:
        grant = {"grant_type": "client_credentials"}
        assert http.post("/sis-a/oauth/token", data=grant, auth=("b", "b-secret")).status_code == 401
        token = http.post("/sis-b/oauth/token", data=grant, auth=("b", "b-secret")).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert len(http.get(f"/sis-b{ROOTS['1.1']}/schools", headers=headers).json()["orgs"]) == 1
        assert http.get(f"/sis-b{ROOTS['1.2']}/schools", headers=headers).status_code == 404
        assert http.get(f"/sis-a{ROOTS['1.2']}/schools", headers=headers).status_code == 401
        link = http.get(f"/sis-b{ROOTS['1.1']}/users?limit=2", headers=headers).links["next"]["url"]
        assert link.startswith(f"{base}/sis-b{ROOTS['1.1']}/users?")
        assert http.get("/elsewhere").status_code == 404
    with pytest.raises(ValueError, match="prefix"):
        create_site([two, two])


def test_a_server_stops_and_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with running(create_app(generate_district(1, 1, 4))) as base:
        assert httpx.get(f"{base}/simulator/district").json()["records"] > 4
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(base)


def test_a_server_that_answers_nobody_ends_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        pauses.extend([delay] if delay else [])
        await sleep(delay)

    monkeypatch.setattr(asyncio, "sleep", noted)
    with running(create_app(generate_district(1, 1, 4))) as base, httpx.Client(base_url=base) as kept_alive:
        assert kept_alive.get("/simulator/district").is_success
    assert pauses == []


def test_a_private_authority_signs_for_loopback(tmp_path: Path) -> None:
    import ssl

    files = private_authority(tmp_path)
    app = create_app(generate_district(1, 1, 4))
    with running(app, ssl_certfile=str(files.certificate), ssl_keyfile=str(files.key)) as base:
        trusting = ssl.create_default_context(cafile=str(files.authority))
        assert httpx.get(f"{base}/simulator/district", verify=trusting).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{base}/simulator/district")


def test_the_command_says_when_it_is_ready() -> None:
    command = [sys.executable, "-m", "roster_pipeline.simulator", "--port", "0", "--schools", "1", "--students", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("simulator ready at http://127.0.0.1:")
            assert httpx.get(line.split()[-1] + "/simulator/district").json()["day"] == 0
        finally:
            process.terminate()
    assert process.returncode in (0, -15)


def test_the_command_lists_every_fault_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list-faults"])
    shown = capsys.readouterr().out.splitlines()
    assert shown == fault_lines()
    assert any(line.startswith("page_cap=N") and "Q31" in line for line in shown)
    assert site_option("/sis-a:schools=2,versions=1.2") == {"prefix": "/sis-a", "schools": "2", "versions": "1.2"}


def test_kept_pages_are_dropped_when_anything_changes() -> None:
    sis = Sis(generate_district(1, 1, 20), keep_pages=True)
    with running(create_site([sis])) as base, httpx.Client(base_url=base) as http:
        api = Api(http, sis)
        api.sign_in()
        first = api.users(limit=10)
        assert api.users(limit=10) == first
        sis.district.rename(first[0]["sourcedId"])
        assert api.users(limit=10) != first
        sis.faults.set("page_cap=3")
        assert len(api.users(limit=10)) == 3
        api.token = "made-up"
        assert api.get("/users", limit=10).status_code == 401


@pytest.mark.parametrize("reads_body", [True, False])
def test_a_request_that_ends_with_the_server_or_its_client_is_not_an_error(
    capfd: pytest.CaptureFixture[str], *, reads_body: bool
) -> None:
    begun = threading.Event()

    async def answer(request: Request) -> Response:
        begun.set()
        if reads_body:
            await request.body()
        await asyncio.sleep(60)
        return Response()

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    with running(app) as base, socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2]))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: sis\r\nContent-Length: 9\r\n\r\n")
        assert begun.wait(10)
        client.close()
    assert "Traceback" not in capfd.readouterr().err
