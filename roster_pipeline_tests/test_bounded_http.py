"""One HTTP exchange: a server that sends bytes for ever, slowly or quickly, ends it in time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from roster_pipeline.bounded_http import exchange
from roster_pipeline.sync.health_checks import beat
from roster_pipeline_tests.certificates import private_authority

HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = HEAD + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"


@contextmanager
def serving(first: bytes, then: bytes, pause: float, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that sends `first`, and then `then` again and again, with pauses."""
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            plain, _ = listening.accept()
            connection = tls.wrap_socket(plain, server_side=True) if tls else plain
            with connection:
                connection.recv(65536)
                connection.sendall(first)
                while not over.wait(pause):
                    connection.sendall(then)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            over.set()
            server.join()


@pytest.mark.parametrize("first", [HEAD, BODY, b""], ids=["headers", "body", "status line"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_server_that_drips_is_cut_off(first: bytes, encrypted: bool, tmp_path: Path) -> None:
    server = trusting = None
    if encrypted:
        files = private_authority(tmp_path)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(files.certificate, files.key)
        trusting = ssl.create_default_context(cafile=str(files.authority))
    with serving(first, b"X", 0.1, server) as url:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            exchange("GET", url, seconds=1, most_bytes=1000, verify=trusting or True)
        assert time.monotonic() - began < 5


def test_a_response_that_is_too_long_is_not_read_to_its_end() -> None:
    with serving(BODY, b" " * 1000, 0.001) as url, pytest.raises(httpx.ReadError, match="too long"):
        exchange("GET", url, seconds=30, most_bytes=10_000)


def test_a_monitor_that_drips_does_not_keep_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_pipeline.sync.health_checks.HEARTBEAT_SECONDS", 1.0)
    with serving(HEAD, b"X", 0.1) as url:
        assert beat(url) == "heartbeat failed (ReadTimeout)"
