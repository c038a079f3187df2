"""The httpx client of a session: verified TLS, checked IP addresses, a deadline for every request, and typed errors.

A host name is resolved once per connection. Every address is checked, and the connection goes to a checked address, so
a name that resolves differently the second time (DNS rebinding) cannot lead elsewhere. The deadline also stops a server
that sends one byte a second, which a time-out per read would allow for hours.
"""

import logging
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from http.cookiejar import Cookie, CookieJar
from pathlib import Path
from typing import Any

import certifi
import httpcore
import httpx

from roster_pipeline.oneroster.errors import OneRosterError, TlsFailed, TooSlow, Unreachable, WrongAddress
from roster_pipeline.oneroster.http.addresses import NO_SUCH_NAME, allowed_addresses
from roster_pipeline.oneroster.http.endpoint import Endpoint

USER_AGENT = "roster-pipeline (OneRoster consumer)"
KEPT_CONNECTIONS = 8
MOST_COOKIES = 50
LONGEST_COOKIE = 4096
"""Limits of cookies per server, and of their length, as in browsers (RFC 6265)."""
ACCEPTED_ENCODINGS = "gzip, deflate"
"""The encodings that `throttle.read_body` decompresses. By default httpx offers all that are installed."""

_CLIENT_CERTIFICATE = "CERTIFICATE_REQUIRED"
"""Part of the reason that OpenSSL gives. With TLS 1.3 it comes after the handshake, as a broken connection."""
_CHAIN = "The SIS must send its whole certificate chain; or enter its authority's certificate as CA bundle."
_OTHER_NAME = "Enter the host name for which the certificate was made, or the SIS must get one for this name."
_OF_CERTIFICATES = {
    9: "Check the clock of this machine. If it is right, the SIS must install a certificate that is valid now.",
    10: "The SIS must renew its certificate. Check the clock of this machine, too.",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
"""The remedy if a certificate is not valid yet, has expired, or names another host or IP address, by OpenSSL's code."""

_deadline = threading.local()


def set_deadline(moment: float | None) -> None:
    """Set the deadline of all network calls of this thread: a moment of time.monotonic(), None for no deadline."""
    _deadline.moment = moment


def _remaining(timeout: float | None) -> float | None:
    moment: float | None = getattr(_deadline, "moment", None)
    if moment is None:
        return timeout
    left = moment - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("deadline")
    return left if timeout is None else min(timeout, left)


def http_client(endpoint: Endpoint) -> httpx.Client:
    """One keep-alive client with one cookie jar, for a whole session. It uses no proxies and follows no redirects."""
    # httpx logs every URL at INFO, and URLs hold people's ids.
    logger = logging.getLogger("httpx")
    logger.setLevel(max(logger.getEffectiveLevel(), logging.WARNING))
    headers = {"Accept": "application/json", "Accept-Encoding": ACCEPTED_ENCODINGS, "User-Agent": USER_AGENT}
    if endpoint.fixed_header is not None:
        headers[endpoint.fixed_header[0]] = endpoint.fixed_header[1]
    limits = endpoint.limits
    return httpx.Client(
        transport=_Transport(endpoint),
        headers=headers,
        cookies=_Cookies(),
        follow_redirects=False,
        timeout=httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds, pool=limits.response_seconds),
    )


class _Cookies(CookieJar):
    """The cookies of one session: few, because every request sends them, and only ASCII, as a header is."""

    def set_cookie(self, cookie: Cookie) -> None:
        text = f"{cookie.name}{cookie.value or ''}"
        if not text.isascii() or len(text) > LONGEST_COOKIE:
            return
        super().set_cookie(cookie)
        if len(self) > MOST_COOKIES:
            self.clear()
            super().set_cookie(cookie)


def trusted(ca_bundle: str | None) -> ssl.SSLContext:
    """TLS settings that trust the public certificates and the connection's own bundle. Nothing turns verification off.

    Raises WrongAddress if the bundle cannot be read.
    """
    if not ca_bundle:
        return _publicly_trusted()
    context = _public_context()
    try:
        if "-----BEGIN" in ca_bundle:
            context.load_verify_locations(cadata=ca_bundle)
        else:
            context.load_verify_locations(cafile=str(Path(ca_bundle)))
    except (OSError, ValueError) as problem:
        raise WrongAddress(
            f"The connection's CA bundle could not be read ({type(problem).__name__}).",
            "Enter a file of certificates in PEM form, each starting with -----BEGIN CERTIFICATE-----.",
        ) from None
    # The authority that issued the certificate is enough, or the certificate itself: people enter what a browser shows.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _public_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    return context


_publicly_trusted = cache(_public_context)
"""Cached, because reading all public certificates takes longer than the pull of a small school."""


class _Transport(httpx.BaseTransport):
    """httpx over pools of httpcore, with and without TLS, whose connections go through `_CheckedNetwork`.

    The certificates are read only for TLS, or to find out whether the connection's own can be read.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._lock = endpoint, threading.Lock()
        self._plain = self._pool(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # trusts nobody, and never needs to
        self._secure = self._pool(trusted(endpoint.ca_bundle)) if endpoint.ca_bundle else None

    def _pool(self, ssl_context: ssl.SSLContext) -> httpcore.ConnectionPool:
        most = max(KEPT_CONNECTIONS, self._endpoint.parallel)
        return httpcore.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=most,
            max_keepalive_connections=most,
            keepalive_expiry=30.0,
            network_backend=_CheckedNetwork(self._endpoint.allow_private),
        )

    def _pool_for(self, scheme: str) -> httpcore.ConnectionPool:
        if scheme == "http":
            return self._plain
        with self._lock:
            self._secure = self._secure or self._pool(trusted(None))
            return self._secure

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - we build every request ourselves
        url = request.url
        with _as_httpx():
            answer = self._pool_for(url.scheme).handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Stream(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        for pool in filter(None, (self._plain, self._secure)):
            pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise an error of httpcore as httpx's error of the same name."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as problem:
        kind = getattr(httpx, type(problem).__name__, httpx.TransportError)
        raise kind(str(problem)) from problem


class _CheckedNetwork(httpcore.NetworkBackend):
    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in allowed_addresses(host, port, self._allow_private):
            try:
                return _DeadlineStream(
                    self._real.connect_tcp(address, port, _remaining(timeout), local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as problem:
                failure = problem
        raise failure


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def network_failure(problem: Exception, host: str, label: str) -> OneRosterError:
    """The error for an exception of httpx. The exception's own text is dropped, because it can contain the URL."""
    if isinstance(problem, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return WrongAddress("The URL of the SIS is not a valid web address.", "Copy it again from the SIS.")
    if isinstance(problem, httpx.ConnectTimeout | httpx.ConnectError):
        tls = _caused_by(problem, ssl.SSLError)
        if isinstance(tls, ssl.SSLCertVerificationError):
            remedy = _OF_CERTIFICATES.get(tls.verify_code, _CHAIN)
            return TlsFailed(f"The certificate of {host} could not be verified ({tls.verify_message}).", remedy)
        if tls is not None:
            return TlsFailed(
                f"No encrypted connection to {host} could be made.",
                "Check the port of the URL. The SIS must offer TLS 1.2 or newer.",
            )
        unnamed = "no server has this name" if str(problem) == NO_SUCH_NAME else "no connection"
        reason = "no response in time" if isinstance(problem, httpx.ConnectTimeout) else unnamed
        return Unreachable(
            f"{host} cannot be reached ({reason}).",
            "Check the URL, and whether the firewall of the SIS allows this machine.",
        )
    if _CLIENT_CERTIFICATE in str(getattr(_caused_by(problem, ssl.SSLError), "reason", "")):
        return TlsFailed(
            f"{host} asks for a certificate of ours.",
            "This is not supported. Ask the SIS for an address with OAuth sign-in and without client certificates.",
        )
    if isinstance(problem, httpx.TimeoutException):
        return TooSlow(
            f"The SIS did not respond to {label} in time.",
            "Choose a smaller page size, or ask the SIS's administrator why it is so slow.",
        )
    return Unreachable(
        f"The connection to {host} broke while reading {label}.",
        "It is tried again at the next sync; if it lasts, ask the SIS's administrator.",
    )


def _caused_by(problem: BaseException | None, kind: type[BaseException]) -> Any:
    for _ in range(10):
        if problem is None or isinstance(problem, kind):
            return problem
        problem = problem.__cause__ or problem.__context__
    return None
