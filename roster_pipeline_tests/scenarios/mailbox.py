"""A real SMTP server on loopback that keeps its mails."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller


class Mailbox:
    """Takes mail in, except for addresses that begin with `nobody`. put_off: how many mails it wants to see later."""

    def __init__(self) -> None:
        self.put_off = 0
        self.messages: list[tuple[EmailMessage, list[str]]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address.startswith("nobody"):
            return "550 5.1.1 unknown"
        if self.put_off:
            self.put_off -= 1
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append((message_from_bytes(envelope.content, policy=default), list(envelope.rcpt_tos)))
        return "250 OK"


def body_of(message: EmailMessage) -> str:
    """The text version of a mail."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@contextmanager
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """The server, and the environment that sends all mail to it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    handler = Mailbox()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    monkeypatch.setenv("ROSTER_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("ROSTER_MAIL_FROM", "roster@example.org")
    try:
        yield handler
    finally:
        controller.stop()
