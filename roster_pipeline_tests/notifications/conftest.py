"""A real SMTP server on loopback that refuses on demand, with its own certificate authority."""

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from roster_pipeline_tests.certificates import private_authority

USER, PASSWORD = "roster", "p@ss/w:rd%"


@dataclass
class Sink:
    """The mails that arrived, and the answers: `replies` maps a command, or an address, to the server's line."""

    replies: dict[str, str] = field(default_factory=dict)
    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    port: int = 0

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if "MAIL" in self.replies:
            return self.replies["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if "DATA" in self.replies:
            return self.replies["DATA"]
        self.messages.append(message_from_bytes(envelope.content, policy=default))
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        return "250 OK"

    async def handle_QUIT(self, *_: Any) -> str:  # noqa: N802
        return self.replies.get("QUIT", "221 Bye")


@dataclass(frozen=True)
class Certificates:
    """The server's TLS context, and a client's that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    files = private_authority(tmp_path_factory.mktemp("tls"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.certificate, files.key)
    return Certificates(server, ssl.create_default_context(cafile=files.authority))


@pytest.fixture
def serve() -> Iterator[Callable[..., Sink]]:
    """Starts a server; keywords go to aiosmtpd. With `sign_in=True` it wants USER and PASSWORD."""
    running: list[Controller] = []

    def start(*, sign_in: bool = False, **options: Any) -> Sink:
        def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
            right = isinstance(given, LoginPassword) and given == LoginPassword(USER.encode(), PASSWORD.encode())
            return AuthResult(success=right, handled=False)

        sink = Sink()
        with socket.create_server(("127.0.0.1", 0)) as free:
            sink.port = free.getsockname()[1]
        if sign_in:
            options |= {"auth_required": True, "authenticator": knows}
        controller = Controller(sink, hostname="127.0.0.1", port=sink.port, **options)
        controller.start()
        running.append(controller)
        return sink

    yield start
    for controller in running:
        controller.stop()
