"""Mails over a real SMTP server: deliveries, refusals, and the texts of errors."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import pytest

from roster_pipeline.notifications import mail
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.smtp import Server, SmtpMailer, mailer_from
from roster_pipeline.settings.installation import MailServer
from roster_pipeline_tests.certificates import private_authority
from roster_pipeline_tests.notifications.conftest import PASSWORD, USER, Certificates, Sink
from roster_pipeline_tests.notifications.examples import GOOD, NIGHT

SENDER = "Roster <roster@district.example.org>"
OWNER, OTHER = "owner@school.example.org", "other@school.example.org"
IDENTITY = mail.message_id("sync", 1841, sender=SENDER)
MAIL = render(GOOD)

Serve = Callable[..., Sink]


def mailer_of(sink: Sink) -> SmtpMailer:
    return SmtpMailer(f"smtp://127.0.0.1:{sink.port}", SENDER, timeout=5)


def signed_in(sink: Sink, scheme: str, certificates: Certificates, password: str = PASSWORD) -> SmtpMailer:
    url = f"{scheme}://{USER}:{quote(password, safe='')}@127.0.0.1:{sink.port}"
    return SmtpMailer(url, SENDER, tls=certificates.client, timeout=5)


def test_a_mail_arrives_with_its_headers_and_both_bodies(serve: Serve) -> None:
    sink = serve()
    assert mailer_of(sink).send(IDENTITY, [OWNER, OTHER], MAIL, at=NIGHT) == mail.Delivery((OWNER, OTHER))
    [message] = sink.messages
    assert sink.envelopes == [("roster@district.example.org", [OWNER, OTHER])]
    assert message["From"] == SENDER
    assert message["To"] == f"{OWNER}, {OTHER}"
    assert message["Subject"] == "Lincoln High: 4 created, 11 updated, 1 restored, 1 archived"
    assert message["Message-ID"] == IDENTITY
    assert message["Date"] == "Wed, 04 Nov 2026 02:04:12 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Roster-School"] == "lincoln-high"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().replace("\r\n", "\n") == MAIL.html
    assert {part["Content-Transfer-Encoding"] for part in message.iter_parts()} == {"quoted-printable"}


def test_a_mail_to_the_owners_of_several_schools_shows_nobodys_address_to_the_others(serve: Serve) -> None:
    sink = serve()
    shared = replace(MAIL, school="")
    mailer_of(sink).send(IDENTITY, [OWNER, OTHER], shared)
    mailer_of(sink).send(IDENTITY, [OWNER], shared)
    assert [to for _, to in sink.envelopes] == [[OWNER, OTHER], [OWNER]]
    assert [message["To"] for message in sink.messages] == ["undisclosed-recipients:;", OWNER]
    assert OTHER not in sink.messages[0].as_string()


def test_starttls_and_a_sign_in(serve: Serve, certificates: Certificates) -> None:
    sink = serve(sign_in=True, tls_context=certificates.server, require_starttls=True)
    mailer = signed_in(sink, "smtp+starttls", certificates)
    mailer.check()
    assert sink.messages == []
    mailer.send(IDENTITY, [OWNER], MAIL)
    assert len(sink.messages) == 1


def test_tls_from_the_first_byte(serve: Serve, certificates: Certificates) -> None:
    sink = serve(ssl_context=certificates.server)
    mailer = SmtpMailer(f"smtps://127.0.0.1:{sink.port}", SENDER, tls=certificates.client, timeout=5)
    mailer.send(IDENTITY, [OWNER], MAIL)
    assert len(sink.messages) == 1


def test_a_wrong_password_can_be_put_right_later_and_is_not_repeated(serve: Serve, certificates: Certificates) -> None:
    sink = serve(sign_in=True, tls_context=certificates.server, require_starttls=True)
    with pytest.raises(mail.TemporaryDeliveryError, match=r"refused the sign-in \(535 5\.7\.8\)") as caught:
        signed_in(sink, "smtp+starttls", certificates, "hunter-two").send(IDENTITY, [OWNER], MAIL)
    assert "hunter-two" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_certificate_nobody_vouches_for_is_refused(serve: Serve, certificates: Certificates) -> None:
    sink = serve(tls_context=certificates.server)
    with pytest.raises(mail.TemporaryDeliveryError, match="no secure connection") as caught:
        SmtpMailer(f"smtp+starttls://127.0.0.1:{sink.port}", SENDER, timeout=5).send(IDENTITY, [OWNER], MAIL)
    assert "unable to get local issuer certificate" in caught.value.message
    assert sink.messages == []


@pytest.mark.parametrize(
    ("made", "remedy"),
    [({"expired": True}, "needs a new certificate"), ({"address": "127.0.0.2"}, "host name for which the certificate")],
)
def test_a_certificate_that_has_expired_or_is_for_another_host_has_a_remedy_of_its_own(
    serve: Serve, tmp_path: Path, made: dict[str, Any], remedy: str
) -> None:
    files = private_authority(tmp_path, **made)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    sink = serve(ssl_context=server)
    trusting = ssl.create_default_context(cafile=str(files.authority))
    mailer = SmtpMailer(f"smtps://127.0.0.1:{sink.port}", SENDER, tls=trusting, timeout=5)
    with pytest.raises(mail.ServerAwayError, match=remedy) as caught:
        mailer.check()
    assert ".." not in caught.value.message


def test_a_server_without_starttls_gets_nothing(serve: Serve) -> None:
    sink = serve()
    with pytest.raises(mail.TemporaryDeliveryError, match="does not offer"):
        SmtpMailer(f"smtp+starttls://127.0.0.1:{sink.port}", SENDER, timeout=5).send(IDENTITY, [OWNER], MAIL)
    assert sink.messages == []


def test_a_refused_recipient_does_not_keep_the_mail_from_the_others(serve: Serve) -> None:
    sink = serve()
    sink.replies = {OTHER: "550 5.1.1 unknown", "late@school.example.org": "450 4.2.1 greylisted"}
    to = [OWNER, OTHER, "late@school.example.org", "no address"]
    delivery = mailer_of(sink).send(IDENTITY, to, MAIL)
    assert delivery == mail.Delivery((OWNER,), ("late@school.example.org",), ("no address", OTHER))
    assert sink.envelopes[0][1] == [OWNER]


def test_an_address_that_the_server_cannot_spell_does_not_keep_the_mail_from_the_others(serve: Serve) -> None:
    sink, odd = serve(enable_SMTPUTF8=False), "jürgen@school.example.org"
    assert mailer_of(sink).send(IDENTITY, [odd, OWNER], MAIL) == mail.Delivery((OWNER,), never=(odd,))
    assert sink.envelopes[0][1] == [OWNER]
    with pytest.raises(mail.PermanentDeliveryError, match="letters outside ASCII"):
        mailer_of(sink).send(IDENTITY, [odd], MAIL)


REFUSALS = [
    ({OWNER: f"550 5.1.1 <{OWNER}> is unknown"}, mail.PermanentDeliveryError, "every recipient"),
    ({OWNER: f"450 4.2.1 <{OWNER}> is busy"}, mail.TemporaryDeliveryError, "every recipient"),
    ({OWNER: "421 4.7.0 too many"}, mail.TemporaryDeliveryError, "every recipient"),
    ({"DATA": f"451 4.3.0 {OWNER} later"}, mail.TemporaryDeliveryError, r"refused the mail \(451 4.3.0\)"),
    ({"DATA": f"554 5.7.1 {OWNER} is spam"}, mail.PermanentDeliveryError, r"refused the mail \(554 5.7.1\)"),
    ({"MAIL": "552 5.3.4 too large"}, mail.PermanentDeliveryError, r"too large for the mail server \(552 5.3.4\)"),
    ({"DATA": "552 5.3.4 too large"}, mail.PermanentDeliveryError, r"too large for the mail server \(552 5.3.4\)"),
    ({"DATA": f"552 5.2.2 {OWNER} is full"}, mail.PermanentDeliveryError, r"refused the mail \(552 5.2.2\)"),
    ({"MAIL": "553 5.7.1 not your sender"}, mail.ServerAwayError, r"refused the sender \(553 5.7.1\)"),
]


@pytest.mark.parametrize(("replies", "kind", "said"), REFUSALS)
def test_what_the_server_refuses_is_tried_again_only_if_that_can_help(
    serve: Serve, replies: dict[str, str], kind: type[Exception], said: str
) -> None:
    sink = serve()
    sink.replies = replies
    with pytest.raises(kind, match=said) as caught:
        mailer_of(sink).send(IDENTITY, [OWNER], MAIL)
    assert "@" not in str(caught.value)
    assert sink.messages == []


def test_an_odd_goodbye_after_the_mail_was_taken_does_not_matter(serve: Serve) -> None:
    sink = serve()
    sink.replies = {"QUIT": "500 what"}
    assert mailer_of(sink).send(IDENTITY, [OWNER], MAIL) == mail.Delivery((OWNER,))


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(mail.TemporaryDeliveryError, match="cannot be reached"):
        SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, timeout=1).send(IDENTITY, [OWNER], MAIL)


@contextmanager
def dead_addresses(number: int, port: int) -> Iterator[list[str]]:
    """Addresses that answer nothing, as behind a firewall: the queue of each port is full."""
    found = [f"127.0.0.{last}" for last in range(2, 2 + number)]
    with ExitStack() as stack:
        for address in found:
            stack.enter_context(socket.create_server((address, port), backlog=0))
            for _ in range(3):
                (waiting := stack.enter_context(socket.socket())).setblocking(False)
                waiting.connect_ex((address, port))
        yield found


def named(addresses: list[str], port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a mail server whose name has all of these IP addresses."""
    really = socket.getaddrinfo
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: found if host == "mail.example.org" else really(host, *rest, **more),
    )
    return f"smtp://mail.example.org:{port}"


def test_dead_addresses_of_a_server_share_the_time_of_one_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with dead_addresses(4, port) as dead:
        url, began = named(dead, port, monkeypatch), time.monotonic()
        with pytest.raises(mail.ServerAwayError, match="cannot be reached"):
            SmtpMailer(url, SENDER, timeout=5, whole=2).send(IDENTITY, [OWNER], MAIL)
        assert time.monotonic() - began < 4


def test_a_dead_address_of_a_server_costs_only_the_first_mail_its_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = serve()
    with dead_addresses(1, sink.port) as dead:
        url = named([*dead, "127.0.0.1"], sink.port, monkeypatch)
        for longest in (5, 1):
            began = time.monotonic()
            SmtpMailer(url, SENDER, timeout=3, whole=4).send(IDENTITY, [OWNER], MAIL)
            assert time.monotonic() - began < longest
    assert len(sink.messages) == 2


def test_a_silent_server_does_not_hold_us_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{silent.getsockname()[1]}", SENDER, timeout=0.2)
        with pytest.raises(mail.ServerAwayError, match=r"takes connections, but does not answer(.|\n)*465 needs smtps"):
            mailer.send(IDENTITY, [OWNER], MAIL)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_answers_byte_by_byte_is_cut_off(scheme: str, certificates: Certificates) -> None:
    """Each byte comes in time, but the whole answer does not."""
    over = Event()

    def drip(listening: socket.socket) -> None:
        plain, _ = listening.accept()
        connection = certificates.server.wrap_socket(plain, server_side=True) if scheme == "smtps" else plain
        with connection, suppress(OSError):
            connection.sendall(b"220 ")
            while not over.wait(0.1):
                connection.sendall(b"h")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=drip, args=(listening,))
        server.start()
        url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        began = time.monotonic()
        try:
            with pytest.raises(mail.TemporaryDeliveryError):
                SmtpMailer(url, SENDER, tls=certificates.client, timeout=20, whole=1).send(IDENTITY, [OWNER], MAIL)
            assert time.monotonic() - began < 10
        finally:
            over.set()
            server.join()


def test_a_connection_that_breaks_before_the_answer_is_tried_again() -> None:
    def serve_and_hang_up(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hello\r\n")
            for answer in (b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
                lines.readline()
                connection.sendall(answer)
            while lines.readline() != b".\r\n":
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve_and_hang_up, args=(listening,))
        server.start()
        with pytest.raises(mail.TemporaryDeliveryError, match="broke before it confirmed"):
            SmtpMailer(f"smtp://127.0.0.1:{listening.getsockname()[1]}", SENDER, timeout=5).send(
                IDENTITY, [OWNER], MAIL
            )
        server.join()


def test_a_domain_in_its_own_letters_is_sent_in_ascii(serve: Serve) -> None:
    sink = serve()
    assert mailer_of(sink).send(IDENTITY, ["rektor@münster.example"], MAIL).accepted == ("rektor@münster.example",)
    assert sink.envelopes[0][1] == ["rektor@xn--mnster-3ya.example"]


def test_nobody_to_send_to_is_permanent(serve: Serve) -> None:
    mailer = mailer_of(serve())
    for to in ([], ["no address"], ["a@b.example\r\nBcc: c@d.example"]):
        with pytest.raises(mail.PermanentDeliveryError, match="no usable recipient"):
            mailer.send(IDENTITY, to, MAIL)


def test_the_address_of_the_server_is_taken_apart() -> None:
    assert Server.of("smtp://mail.example.org") == Server("smtp", "mail.example.org", 25)
    assert Server.of("smtps://mail.example.org") == Server("smtps", "mail.example.org", 465)
    server = Server.of("smtp+starttls://me%40x:p%3A%2F@mail.example.org:2525")
    assert server == Server("smtp+starttls", "mail.example.org", 2525, "me@x", "p:/")
    assert "p:/" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:geheim@mail.example.org",
        "mail.example.org:25",
        "smtp://u:geheim@mail.example.org:99999",
        "smtps://u:geheim@",
        "smtps://u:geheim/x@mail.example.org",
        "smtp://u:geheim@mail.example.org",
    ],
)
def test_a_wrong_address_is_explained_without_its_password(url: str) -> None:
    with pytest.raises(mail.MailSettingsError, match="ROSTER_SMTP_URL") as caught:
        SmtpMailer(url, SENDER)
    assert "geheim" not in str(caught.value)


def test_the_environment_chooses_the_way_out(tmp_path: Path) -> None:
    assert isinstance(mailer_from(MailServer.read({}), tmp_path), mail.FolderMailer)
    assert isinstance(mailer_from(MailServer(smtp_url="smtp://x", mail_from=SENDER), tmp_path), SmtpMailer)
    with pytest.raises(mail.MailSettingsError, match="ROSTER_MAIL_FROM"):
        mailer_from(MailServer(smtp_url="smtp://x"), tmp_path)
    for environment in ({"ROSTER_SMTP_URL": "smtp://x", "ROSTER_MAIL_FROM": "x"}, {"ROSTER_MAIL_FROM": "x"}):
        with pytest.raises(mail.MailSettingsError, match="ROSTER_MAIL_FROM"):
            mailer_from(MailServer.read(environment), tmp_path)
