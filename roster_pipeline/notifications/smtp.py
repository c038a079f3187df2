"""Sends mails over SMTP, with the standard library's client and with limits of time.

If a connection breaks between the message and the server's answer, nobody knows whether the mail was sent. It is then
sent again with the same Message-ID, so that a careful server or mail program drops the copy.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from roster_pipeline.notifications.mail import (
    FOLDER_SENDER,
    MAIL_FROM,
    SMTP_URL,
    Delivery,
    FolderMailer,
    Mail,
    Mailer,
    MailError,
    MailSettingsError,
    PermanentDeliveryError,
    ServerAwayError,
    TemporaryDeliveryError,
    address_of,
    compose,
    usable,
)
from roster_pipeline.settings.installation import MailServer

TIMEOUT_SECONDS = 30.0
"""Seconds for every answer of the server. Some servers check the sender while we wait, which takes up to about 20 s."""
WHOLE_SECONDS = 35.0
"""Seconds for one mail, however slowly the server answers. This limits the time of one tick."""
CONNECT_SECONDS = 10.0  # for each address of the server; they share the time of the mail
CUT_AGAIN_AFTER = 0.2
TOO_LARGE, FULL_MAILBOX = 552, "5.2.2"
PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CLOCK = "Check the clock of this machine. If it is right, the mail server needs a new certificate."
_OTHER_NAME = f"Write the host name for which the certificate was made in {SMTP_URL}."
_OF_CERTIFICATES = {9: _CLOCK, 10: _CLOCK, 62: _OTHER_NAME, 64: _OTHER_NAME}
"""The remedy if a certificate is not valid yet, has expired, or names another host or IP address, by OpenSSL's code."""
_ENHANCED_CODE = re.compile(rb"\b[245]\.\d{1,3}\.\d{1,3}\b")
_answered: dict[tuple[str, int], str] = {}
"""The address of each server that answered last. It is tried first, so that a dead address costs one mail its time."""


@dataclass(frozen=True)
class Server:
    """The parts of a `ROSTER_SMTP_URL`."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read an address. Raises MailSettingsError without it, because it may contain a password."""
        example = f"Set {SMTP_URL} like smtp+starttls://user:password@mail.example.org:587 (or smtps://, smtp://)."
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS[parts.scheme]
        except (ValueError, KeyError):
            raise MailSettingsError(f"{SMTP_URL} is not an SMTP address.", example) from None
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise MailSettingsError(
                f"{SMTP_URL} is not an SMTP address.", f"{example} Write special characters as %XX."
            )
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if user and parts.scheme == "smtp" and parts.hostname not in LOOPBACK:
            raise MailSettingsError(
                f"{SMTP_URL} would send the password unencrypted.", "Use smtp+starttls:// or smtps://."
            )
        return cls(parts.scheme, parts.hostname, port, user, password)


class _Bounded(smtplib.SMTP):
    """A client cut off after this many seconds; a time-out per answer does not limit the conversation."""

    def __init__(self, whole: float, *args: Any, **settings: Any) -> None:
        self._whole = whole
        self._closed = Event()
        super().__init__(*args, **settings)

    def connect(self, *args: Any, **settings: Any) -> tuple[int, bytes]:
        """Connect, and start the timer."""
        Thread(target=self._cut, daemon=True).start()
        try:
            return super().connect(*args, **settings)
        except BaseException:
            self._closed.set()
            raise

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Try the server's addresses one after the other. Raises OSError: why the last one failed."""
        found = dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        addresses = sorted(found, key=lambda address: address != _answered.get((host, port)))
        until = monotonic() + self._whole
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            patience = min(timeout, CONNECT_SECONDS, max(CUT_AGAIN_AFTER, (until - monotonic()) / left))
            try:
                connected: socket.socket = super()._get_socket(address, port, patience)  # type: ignore[misc]
                break
            except OSError as problem:
                if left == 1 or isinstance(problem, ssl.SSLError):
                    raise
        connected.settimeout(timeout)
        _answered[host, port] = address
        return connected

    def close(self) -> None:
        """End the connection, and stop the timer."""
        self._closed.set()
        super().close()

    def _cut(self) -> None:
        wait = self._whole
        while not self._closed.wait(wait):
            if self.sock:
                with suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)
            wait = CUT_AGAIN_AFTER


class _BoundedTls(_Bounded, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


class SmtpMailer:
    """One connection per mail. tls: replaces the system's certificates. timeout, whole: seconds per answer, per
    mail."""

    def __init__(
        self,
        url: str,
        sender: str,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT_SECONDS,
        whole: float = WHOLE_SECONDS,
    ) -> None:
        self.server = Server.of(url)
        self.sender = sender
        try:
            self._from = address_of(sender)
        except ValueError:
            raise MailSettingsError(f"{MAIL_FROM} is not an e-mail address.", f"Correct {MAIL_FROM}.") from None
        self._tls = tls
        self._timeout = timeout
        self._whole = whole

    def send(self, message_id: str, recipients: Sequence[str], mail: Mail, *, at: datetime | None = None) -> Delivery:
        """Hand one message to the server. If one recipient is refused, the others still get it."""
        good, never = usable(recipients)
        with self._connected() as client:
            spelled = {recipient: one for recipient, one in good.items() if one.username.isascii()}
            if spelled and not client.has_extn("smtputf8"):
                never, good = [*never, *good.keys() - spelled], spelled
            message = compose(mail, self._from, list(good.values()), message_id, at or datetime.now(UTC))
            wire = {address.addr_spec: recipient for recipient, address in good.items()}
            refused = self._hand_over(client, message, list(wire))
        later = tuple(wire[address] for address, code in refused.items() if code < 500)
        never += [wire[address] for address, code in refused.items() if code >= 500]
        accepted = tuple(recipient for address, recipient in wire.items() if address not in refused)
        return Delivery(accepted, later, tuple(never))

    def check(self) -> None:
        """Connect, secure the connection and sign in."""
        with self._connected():
            pass

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        client = self._connect()
        try:
            yield client
            with suppress(OSError, smtplib.SMTPException):
                client.quit()
        finally:
            client.close()

    def _connect(self) -> smtplib.SMTP:
        server, where = self.server, f"the mail server {self.server.host}:{self.server.port}"
        client: smtplib.SMTP | None = None
        try:
            kind, more = (_BoundedTls, {"context": self._context()}) if server.scheme == "smtps" else (_Bounded, {})
            client = kind(self._whole, server.host, server.port, timeout=self._timeout, **more)
            client.ehlo_or_helo_if_needed()
            if server.scheme == "smtp+starttls":
                client.starttls(context=self._context())
            if server.user:
                client.login(server.user, server.password or "")
        except (OSError, smtplib.SMTPException) as problem:
            if client is not None:
                client.close()
            raise _not_connected(where, problem) from None
        return client

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()

    def _hand_over(self, client: smtplib.SMTP, message: EmailMessage, to: list[str]) -> dict[str, int]:
        """Returns the refused recipients and their codes. Raises an error if nobody was accepted."""
        try:
            refused = client.send_message(message, self._from.addr_spec, to)
        except smtplib.SMTPRecipientsRefused as problem:
            codes = sorted({code for code, _ in problem.recipients.values()})
            refusal = f"The mail server refused every recipient (code {', '.join(map(str, codes))})."
            remedy = "Check the school's Roster Email."
            raise (PermanentDeliveryError if min(codes) >= 500 else TemporaryDeliveryError)(refusal, remedy) from None
        except smtplib.SMTPNotSupportedError:
            raise PermanentDeliveryError(
                "The mail server cannot deliver to an address with letters outside ASCII.",
                "Use another address in the school's Roster Email.",
            ) from None
        except smtplib.SMTPResponseException as problem:
            raise _refused(problem) from None
        except (OSError, smtplib.SMTPException):
            raise TemporaryDeliveryError(
                "The connection to the mail server broke before it confirmed the mail.",
                "It is tried again; a copy may arrive twice.",
            ) from None
        return {address: code for address, (code, _) in refused.items()}


def _refused(problem: smtplib.SMTPResponseException) -> MailError:
    code = _code(problem)
    if problem.smtp_code == TOO_LARGE and FULL_MAILBOX not in code:
        return PermanentDeliveryError(
            f"The mail is too large for the mail server{code}.",
            "Set the attachment of the school's Roster Email to none.",
        )
    if isinstance(problem, smtplib.SMTPSenderRefused):
        return ServerAwayError(
            f"The mail server refused the sender{code}.", f"Check {MAIL_FROM}, and whether the server wants a sign-in."
        )
    kind = PermanentDeliveryError if problem.smtp_code >= 500 else TemporaryDeliveryError
    return kind(f"The mail server refused the mail{code}.", "Ask those who run the server.")


def _code(problem: smtplib.SMTPResponseException) -> str:
    """` (550 5.7.1)`: the codes, which people can look up, without the server's own words."""
    words = problem.smtp_error if isinstance(problem.smtp_error, bytes) else str(problem.smtp_error).encode()
    enhanced = _ENHANCED_CODE.search(words)
    return f" ({problem.smtp_code}{' ' + enhanced[0].decode() if enhanced else ''})"


def _not_connected(where: str, problem: Exception) -> MailError:
    match problem:
        case smtplib.SMTPAuthenticationError():
            return ServerAwayError(
                f"{where} refused the sign-in{_code(problem)}.", f"Check user and password in {SMTP_URL}."
            )
        case ssl.SSLError():
            reason = getattr(problem, "verify_message", "") or problem.reason or "TLS failed"
            remedy = "Check host and port, or add the server's authority to the system's (SSL_CERT_FILE)."
            return ServerAwayError(
                f"no secure connection to {where}: {reason.rstrip('.')}.",
                _OF_CERTIFICATES.get(getattr(problem, "verify_code", 0), remedy),
            )
        case smtplib.SMTPNotSupportedError():
            return ServerAwayError(
                f"{where} does not offer what {SMTP_URL} asks for (STARTTLS or a sign-in).",
                "Check the port, or use smtps://.",
            )
        case smtplib.SMTPResponseException():
            return ServerAwayError(f"{where} turned us away{_code(problem)}.", "It is tried again later.")
        case smtplib.SMTPServerDisconnected():
            return ServerAwayError(
                f"{where} takes connections, but does not answer as a mail server.",
                f"Check host and port in {SMTP_URL}; port 465 needs smtps://. Otherwise ask those who run the server.",
            )
        case _:
            return ServerAwayError(
                f"{where} cannot be reached ({type(problem).__name__}).", f"Check host and port in {SMTP_URL}."
            )


def mailer_from(server: MailServer, folder: Path) -> Mailer:
    """The mailer of an installation. folder: for mails without a `ROSTER_SMTP_URL`. Raises MailSettingsError."""
    url, sender = server.smtp_url, server.mail_from
    if not url:
        return FolderMailer(folder, sender or FOLDER_SENDER)
    if not sender:
        raise MailSettingsError(f"{SMTP_URL} is set, but {MAIL_FROM} is not.", f"Set {MAIL_FROM} to the sender.")
    return SmtpMailer(url, sender)
