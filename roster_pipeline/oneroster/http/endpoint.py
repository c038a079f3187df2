"""The settings of one SIS connection, the limits of a session, and the URLs that follow from a pasted address.

From the pasted address follow the roots to try, possible token addresses, and single requests. Addresses are joined as
text: resolving against a base would drop the last segment, and encoding again would change parts that are encoded on
purpose (application ids with `%3D`).
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

import httpx

from roster_pipeline.oneroster.errors import WrongAddress
from roster_pipeline.oneroster.http.addresses import is_bundle_url

ROOT_1_2 = "/ims/oneroster/rostering/v1p2"
ROOT_1_1 = "/ims/oneroster/v1p1"
ROOT_1_0 = "/ims/oneroster/v1p0"
ROOT_1_2_SHORT = "/ims/oneroster/v1p2"
COLLECTIONS = frozenset(
    (
        *("orgs", "schools", "users", "students", "teachers", "classes", "courses"),
        *("enrollments", "academicsessions", "terms", "gradingperiods", "demographics"),
    )
)
"""Last path segments that people paste together with the root, in lower case."""
OWN_PARAMETERS = frozenset(("limit", "offset", "sort", "orderby", "filter", "fields"))
"""Parameters of single requests, in lower case. People paste them with a sample request."""

_VERSION_SEGMENT = re.compile(r"^v1p([012])$", re.IGNORECASE)
_OTHER_SERVICE = re.compile(r"/ims/oneroster/(gradebook|resources)/v1p2", re.IGNORECASE)
_ANY_ROOT = re.compile(r"(?:/ims(?:/oneroster(?:/(?:rostering|gradebook|resources))?)?)?(?:/v1p[012])?$", re.IGNORECASE)
_USUAL_PORT = re.compile(r"\.?(?::(?:22|80|443))?$")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST = re.compile(r"[\w.:\[\]-]{1,253}")
SignInKind = Literal["auto", "oauth2", "oauth1", "bearer"]
VersionChoice = Literal["auto", "1.1", "1.2"]


@dataclass(frozen=True)
class Root:
    """A URL that may be the parent of the standard's collections. version: as the path says, None if it says none."""

    url: str
    version: str | None


@dataclass(frozen=True)
class Address:
    """A pasted address. origin: scheme and host. path: without a trailing slash. query: sent with every request."""

    origin: str
    path: str
    query: str

    @property
    def base(self) -> str:
        return self.origin + self.path


def understand(pasted: str) -> Address:
    """Read a pasted base URL. Raises WrongAddress if it is not a URL or contains a password."""
    text = pasted.strip().strip("<>\"'").strip()
    if not _SCHEME.match(text):
        text = "https://" + text.lstrip("/")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if parts.scheme.lower() not in ("http", "https") or not host or re.search(r"\s", text):
        raise WrongAddress(
            "The URL of the SIS is not a valid web address.",
            "Copy it from the SIS; it looks like https://sis.example.org/ims/oneroster/rostering/v1p2",
        )
    if parts.username is not None or parts.password is not None:
        raise WrongAddress(
            "The URL of the SIS contains a user name or password.",
            "Remove them from the URL; Client ID and Client Secret have their own fields.",
        )
    name = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme.lower()}://{name}" + (f":{port}" if port is not None else "")
    segments = _plain_path(parts.path).split("/")
    while len(segments) > 1 and segments[-1].lower() in COLLECTIONS:
        segments.pop()
    return Address(origin, "/".join(segments), _kept_query(parts.query))


def _plain_path(path: str) -> str:
    return re.sub(r"/{2,}", "/", path).rstrip("/")


def _kept_query(query: str) -> str:
    """The pasted query without the parameters that we set ourselves. It is sent with every request."""
    parameters = [part for part in query.split("&") if part]
    return "&".join(part for part in parameters if unquote(part.partition("=")[0]).lower() not in OWN_PARAMETERS)


def roots(address: Address, version: str) -> list[Root]:
    """The roots to try, best first. version: "auto", "1.1" or "1.2", as the owner chose it."""
    path = _OTHER_SERVICE.sub("/ims/oneroster/rostering/v1p2", address.path)
    candidates: list[Root] = []
    stated = version_in(path)
    if stated is not None:
        candidates.append(Root(address.origin + path, stated))
    prefix = _before_the_root(path)
    for suffix, suffix_version in ((ROOT_1_2, "1.2"), (ROOT_1_2_SHORT, "1.2"), (ROOT_1_1, "1.1")):
        candidates.append(Root(address.origin + prefix + suffix, suffix_version))
    if stated is None:
        candidates.append(Root(address.origin + path, None))
    candidates.append(Root(address.origin + prefix + ROOT_1_0, "1.1"))
    if version != "auto":
        pasted = candidates[0] if stated is not None else None
        candidates.sort(key=lambda root: (root is not pasted, root.version != version))
    return list(dict.fromkeys(candidates))


def version_in(path: str) -> str | None:
    """The version in a path: "1.2", "1.1" (also for 1.0), or None."""
    for segment in reversed(path.split("/")):
        match = _VERSION_SEGMENT.match(segment)
        if match:
            return "1.2" if match[1] == "2" else "1.1"
    return None


def is_version_1_0(url: str) -> bool:
    """Whether a root is one of OneRoster 1.0, which we read as 1.1."""
    return any(part.lower() == "v1p0" for part in urlsplit(url).path.split("/")) and "/proxy/v1p0/" not in url.lower()


def _before_the_root(path: str) -> str:
    """The vendor's prefix: the path before `/ims/oneroster`, or the whole path if that is not in it."""
    at = path.lower().find("/ims/oneroster")
    if at >= 0:
        return path[:at]
    if path.lower().endswith("/ims"):
        return path[:-4]
    return path


def system_of(url: str) -> str:
    """The address without what only spells it: https or http, capitals, a usual port, slashes, and the root of one
    version. Two systems on one server differ in the path before the root, or in the query."""
    parts = urlsplit(url)
    server = _USUAL_PORT.sub("", parts.netloc.lower())
    if is_bundle_url(url):
        return f"{parts.scheme}://{server}{_plain_path(parts.path)}"
    address = understand(url)
    return f"{server}{_ANY_ROOT.sub('', address.path)}?{address.query}"


def token_urls(address: Address, roots_tried: Iterable[Root]) -> list[str]:
    """Possible token addresses, most likely first. All are on the SIS's own host, because the secret is sent there."""
    path = _OTHER_SERVICE.sub("/ims/oneroster/rostering/v1p2", address.path)
    prefix = _before_the_root(path)
    places = [prefix]
    if prefix.lower().endswith("/api"):
        places.append(prefix[:-4])
    places.append("")
    endings = ("/token", "/oauth/token", "/oauth/access_token", "/oauth2/token", "/auth/token", "/connect/token")
    guesses = [address.origin + place + ending for place in places for ending in endings]
    guesses += [root.url + "/token" for root in roots_tried]
    return list(dict.fromkeys(guesses))


def segment(sourced_id: str) -> str:
    """An id as one path segment. The ids "." and ".." are escaped, because clients and proxies would resolve them."""
    if sourced_id in (".", ".."):
        return sourced_id.replace(".", "%2E")
    return quote(sourced_id, safe="")


def with_query(url: str, parameters: Iterable[tuple[str, str]], kept: str = "") -> str:
    """A complete URL. kept: a query to send first. Blanks become %20 and quotes %27, because some servers do not decode
    the form style."""
    query = "&".join(part for part in (kept, urlencode(list(parameters), quote_via=quote, safe="")) if part)
    scheme, host, path, own, _ = urlsplit(url)
    return urlunsplit((scheme, host, path, "&".join(part for part in (own, query) if part), ""))


def resolved(url: str, named: str = "") -> str:
    """The absolute URL that a server names in a response from `url`, or `url` itself.

    "" if no request can be sent there, for example because the host or port cannot be read.
    """
    try:
        target = urljoin(url, named)
        return target if urlsplit(target).port != 0 and httpx.URL(target).host else ""
    except (ValueError, httpx.InvalidURL):
        return ""


def same_origin(url: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port. A default port may be given or not."""
    return _origin(url) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def host_of(url: str) -> str:
    """Host and port of a URL, for messages and for the limit per host. "" for a text that is not a host name: servers
    must not put their own text into our messages."""
    host = urlsplit(url).netloc.rsplit("@", 1)[-1].lower()
    return host if _HOST.fullmatch(host) else ""


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds and bytes that keep a bad server from blocking a run or filling its memory or disk.

    The read time-out is well above the 30 s that large consumers allow for a page. A page of 1,000 users is about 1 MB,
    so `response_bytes` leaves room for servers that send everything at once: about 60,000 users. The module `response`
    bounds the memory of the decoded values.
    """

    connect_seconds: float = 15.0
    read_seconds: float = 120.0
    response_seconds: float = 300.0
    response_bytes: int = 64 * 1024 * 1024
    attempts: int = 5
    """Attempts of one request, including the first."""
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    waiting_budget: float = 900.0
    """Seconds that all retries of one client may wait in total."""
    pages: int = 20_000
    """Pages of one collection. A million users at 100 a page need half of them."""
    records: int = 10_000_000
    orgs: int = 100_000
    """Orgs of one list. They stay in memory during the pull; a whole state has some ten thousand."""
    pull_seconds: float = 6 * 3600.0
    smallest_page: int = 25
    readings: int = 3
    """How often a collection is read if it changes while it is read. After that the snapshot is incomplete."""
    single_users: int = 20_000
    """Guardians that are fetched one by one if the collections lack them."""


@dataclass(frozen=True)
class Endpoint:
    """One SIS. `base_url` as the owner pasted it: host, vendor prefix, OneRoster root, or one of its collections.

    client_secret is also the static bearer of sign_in "bearer". token_url and scopes: None means that the client finds
    them out. fixed_header is sent with every request (an API key in addition to the sign-in, or instead of it).
    ca_bundle: a path, or PEM text, of certificates to trust in addition to the public ones. parallel: requests at the
    same time. metadata_keys: members of a user's `metadata` to keep; a dot steps into nested objects.
    unknown_user_status: of the answer for one user whom the SIS does not have. learned: the value of `Client.learned`
    after an earlier session.
    """

    base_url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    sign_in: SignInKind = "auto"
    token_url: str | None = None
    scopes: str | None = None
    version: VersionChoice = "auto"
    page_size: int = 1000
    ca_bundle: str | None = field(default=None, repr=False)
    allow_private: bool = False
    parallel: int = 4
    metadata_keys: tuple[str, ...] = ()
    unknown_user_status: int = 404
    fixed_header: tuple[str, str] | None = field(default=None, repr=False)
    learned: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()


MOST_SKEW = 300.0
"""Seconds. If the SIS's clock is further from ours, it refuses signed requests and we do not trust its times."""


@dataclass(frozen=True)
class Clock:
    """The time functions of a session, so that tests can replace them.

    monotonic: seconds, for deadlines. sleep: waits seconds. now: UTC. chance: a number from 0 to 1, for jitter.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    chance: Callable[[], float] = secrets.SystemRandom().random
