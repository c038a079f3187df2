"""Serving the simulator: until it is interrupted, or in a thread for tests; and certificates for HTTPS on loopback."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
BACKLOG = 128
STOP_PATIENCE = 10.0
"""Seconds to wait for the server thread to end."""


class _NotAborted(logging.Filter):
    """Keeps connections that a fault cuts out of the server's error log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the report of an aborted connection."""
        return record.exc_info is None or not isinstance(record.exc_info[1], ConnectionAbortedError)


NOT_ABORTED = _NotAborted()


def _config(app: Starlette, **options: object) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(NOT_ABORTED)
    return uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=1,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening.

    It names its protocol, because only then asyncio turns Nagle's delay off, which costs 40 ms an answer.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


class SimulatorThread:
    """A server in a thread. base_url: its address without a trailing slash. End it with `stop()`."""

    def __init__(
        self, app: Starlette, host: str = LOOPBACK, port: int = 0, tls: Mapping[str, str] | None = None
    ) -> None:
        self._socket = _bound(host, port)
        self.app = app
        self.base_url = f"{'https' if tls else 'http'}://{host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(_config(app, **(tls or {})))
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> "SimulatorThread":
        """Listen. Requests that arrive before the server is up wait in the queue of the socket."""
        self._socket.listen(BACKLOG)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the server and its thread, and close its connections."""
        self._server.should_exit = True
        self._thread.join(STOP_PATIENCE)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


@contextlib.contextmanager
def running(app: Starlette, **tls: str) -> Iterator[str]:
    """Serve `app` on a free loopback port during a `with` block. Yields the base URL, without a trailing slash.

    tls: `ssl_certfile` and `ssl_keyfile` for HTTPS.
    """
    thread = SimulatorThread(app, tls=tls).start()
    try:
        yield thread.base_url
    finally:
        thread.stop()


def serve(app: Starlette, *, host: str = LOOPBACK, port: int = 8600) -> None:
    """Serve until it is interrupted. Prints `simulator ready at URL ...` with one URL per SIS when the port answers.

    port: 0 for a free one.
    """
    with contextlib.closing(_bound(host, port)) as bound, contextlib.suppress(KeyboardInterrupt):
        bound.listen(BACKLOG)
        base = f"http://{host}:{bound.getsockname()[1]}"
        urls = " ".join(f"{base}{prefix}" for prefix in app.state.prefixes)
        print(f"simulator ready at {urls}", flush=True)  # noqa: T201 - the line that a parent process waits for
        asyncio.run(uvicorn.Server(_config(app)).serve(sockets=[bound]))


LIFETIME = timedelta(days=2)


class Certificates(NamedTuple):
    """Three PEM files: the authority (for the client's CA bundle), the server's certificate and its key."""

    authority: Path
    certificate: Path
    key: Path


def private_authority(folder: Path, *, expired: bool = False) -> Certificates:
    """Write a private authority and a certificate for 127.0.0.1 and localhost into `folder`.

    Districts that host their own SIS have such authorities. expired: both ended yesterday.
    """
    begin = datetime.now(UTC) - (LIFETIME if expired else timedelta(hours=1))
    end = begin + (LIFETIME / 2 if expired else LIFETIME)
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Invented District Authority")])
    authority = (
        _builder(ca_name, ca_name, ca_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    server = (
        _builder(server_name, ca_name, server_key.public_key(), begin, end)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    files = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.key.write_bytes(key)
    return files


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
