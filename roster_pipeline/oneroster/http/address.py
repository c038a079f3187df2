"""What people paste as an address, understood: the roots to try, where tokens may come from, and single URLs.

Addresses are joined as text. Resolving against a base would drop its last segment, and re-encoding would change pieces
that are encoded on purpose (application ids with `%3D`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

from roster_pipeline.oneroster.errors import WrongAddress

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
"""Paths that people paste along with the root, lower-cased."""
OWN_PARAMETERS = frozenset(("limit", "offset", "sort", "orderby", "filter", "fields"))
"""Parameters of single requests, which people paste along with a sample of one, lower-cased."""

_VERSION_SEGMENT = re.compile(r"^v1p([012])$", re.IGNORECASE)
_OTHER_SERVICE = re.compile(r"/ims/oneroster/(gradebook|resources)/v1p2", re.IGNORECASE)
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Root:
    """One address under which the standard's collections may live. version: what the path says, None if nothing."""

    url: str
    version: str | None


@dataclass(frozen=True)
class Address:
    """A pasted base, cut into what stays: scheme and host, path without a trailing slash, query to send along."""

    origin: str
    path: str
    query: str

    @property
    def base(self) -> str:
        return self.origin + self.path


def understand(pasted: str) -> Address:
    """Read a pasted base URL. Raises WrongAddress where it cannot be one, or carries a password."""
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
            "The URL of the SIS is not a web address.",
            "Copy it from the SIS; it looks like https://sis.example.org/ims/oneroster/rostering/v1p2",
        )
    if parts.username is not None or parts.password is not None:
        raise WrongAddress(
            "The URL of the SIS holds a user name or password.", "Take it out; Client ID and Client Secret have fields."
        )
    name = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme.lower()}://{name}" + (f":{port}" if port is not None else "")
    segments = re.sub(r"/{2,}", "/", parts.path).rstrip("/").split("/")
    while len(segments) > 1 and segments[-1].lower() in COLLECTIONS:
        segments.pop()
    return Address(origin, "/".join(segments), _kept_query(parts.query))


def _kept_query(query: str) -> str:
    """What goes along with every request: a query as it was pasted, without the parameters that we set ourselves."""
    parameters = [part for part in query.split("&") if part]
    return "&".join(part for part in parameters if unquote(part.partition("=")[0]).lower() not in OWN_PARAMETERS)


def roots(address: Address, version: str) -> list[Root]:
    """The addresses to try, best first. version: "auto", "1.1" or "1.2" as the owner chose it."""
    path = _OTHER_SERVICE.sub("/ims/oneroster/rostering/v1p2", address.path)
    found: list[Root] = []
    stated = version_in(path)
    if stated is not None:
        found.append(Root(address.origin + path, stated))
    prefix = _before_the_root(path)
    for suffix, suffix_version in ((ROOT_1_2, "1.2"), (ROOT_1_2_SHORT, "1.2"), (ROOT_1_1, "1.1")):
        found.append(Root(address.origin + prefix + suffix, suffix_version))
    if stated is None:
        found.append(Root(address.origin + path, None))
    found.append(Root(address.origin + prefix + ROOT_1_0, "1.1"))
    if version != "auto":
        pasted = found[0] if stated is not None else None
        found.sort(key=lambda root: (root is not pasted, root.version != version))
    return list(dict.fromkeys(found))


def version_in(path: str) -> str | None:
    """The version a path states: "1.2", "1.1" (1.0 is read as 1.1), or None."""
    for segment in reversed(path.split("/")):
        match = _VERSION_SEGMENT.match(segment)
        if match:
            return "1.2" if match[1] == "2" else "1.1"
    return None


def is_version_1_0(url: str) -> bool:
    """Whether a root is one of OneRoster 1.0, which is read as 1.1."""
    return any(part.lower() == "v1p0" for part in urlsplit(url).path.split("/")) and "/proxy/v1p0/" not in url.lower()


def _before_the_root(path: str) -> str:
    """The vendor's prefix: what stands before `/ims/oneroster`, or the whole path without a version at its end."""
    at = path.lower().find("/ims/oneroster")
    if at >= 0:
        return path[:at]
    if path.lower().endswith("/ims"):
        return path[:-4]
    return path


def token_urls(address: Address, roots_tried: Iterable[Root]) -> list[str]:
    """Guesses for the token address, nearest first; all on the SIS's own host, because the secret goes there."""
    path = _OTHER_SERVICE.sub("/ims/oneroster/rostering/v1p2", address.path)
    prefix = _before_the_root(path)
    places = [prefix]
    if prefix.lower().endswith("/api"):
        places.append(prefix[:-4])
    places.append("")
    habits = ("/token", "/oauth/token", "/oauth/access_token", "/oauth2/token", "/auth/token", "/connect/token")
    guesses = [address.origin + place + habit for place in places for habit in habits]
    guesses += [root.url + "/token" for root in roots_tried]
    return list(dict.fromkeys(guesses))


def segment(sourced_id: str) -> str:
    """An id as one path segment; dots are escaped where a client or proxy would take them for "up one"."""
    if sourced_id in (".", ".."):
        return sourced_id.replace(".", "%2E")
    return quote(sourced_id, safe="")


def with_query(url: str, parameters: Iterable[tuple[str, str]], kept: str = "") -> str:
    """A finished URL. Blanks become %20 and quotes %27, because not every server decodes form style."""
    query = "&".join(part for part in (kept, urlencode(list(parameters), quote_via=quote, safe="")) if part)
    scheme, host, path, own, _ = urlsplit(url)
    return urlunsplit((scheme, host, path, "&".join(part for part in (own, query) if part), ""))


def same_origin(one: str, other: str) -> bool:
    """Same scheme, host and port, default ports spelled out or not."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def host_of(url: str) -> str:
    """Host and port of a URL, for messages and for the per-host limit."""
    return urlsplit(url).netloc.rsplit("@", 1)[-1].lower()
