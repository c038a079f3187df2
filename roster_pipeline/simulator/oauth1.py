"""OAuth 1.0a without tokens ("2-legged"): checks the signature, the clock and the nonce of one request."""

import base64
import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from time import time
from typing import Any
from urllib.parse import quote

from oauthlib.oauth1.rfc5849 import signature

from roster_pipeline.simulator.query import read_pairs

CLOCK_SKEW = 300
"""Seconds a timestamp may be off, as servers of the field allow."""
NONCES_REMEMBERED = 100_000
METHODS = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


class Nonces:
    """Remembers the nonces of late and knows a repetition."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str]] = set()
        self._order: deque[tuple[str, str, str]] = deque()

    def first_time(self, client_key: str, nonce: str, timestamp: str) -> bool:
        """Whether this nonce has not been used with this key and timestamp."""
        entry = (client_key, nonce, timestamp)
        if entry in self._seen:
            return False
        self._seen.add(entry)
        self._order.append(entry)
        if len(self._order) > NONCES_REMEMBERED:
            self._seen.discard(self._order.popleft())
        return True


def refusal(
    url: str,
    authorization: str,
    credentials: Mapping[str, str],
    nonces: Nonces,
    *,
    only_hash: str = "",
    clock_offset: int = 0,
) -> str | None:
    """Why a signed GET is refused, None if it is good.

    url: exactly as requested, with its query. only_hash: `sha1` or `sha256` if the server takes one only.
    clock_offset: seconds by which the server's clock is wrong.
    """
    parameters = dict(
        signature.collect_parameters(headers={"Authorization": authorization}, exclude_oauth_signature=False)
    )
    method = parameters.get("oauth_signature_method", "")
    timestamp, nonce = parameters.get("oauth_timestamp", ""), parameters.get("oauth_nonce", "")
    client_key = parameters.get("oauth_consumer_key", "")
    if method not in METHODS or (only_hash and METHODS[method] != only_hash):
        return "signature method not supported"
    if client_key not in credentials:
        return "unknown consumer key"
    if not timestamp.isdecimal() or abs(time() + clock_offset - int(timestamp)) > CLOCK_SKEW:
        return "timestamp out of range"
    base, _, query_string = url.partition("?")
    pairs: Any = read_pairs(query_string) + list(
        signature.collect_parameters(headers={"Authorization": authorization}, exclude_oauth_signature=True)
    )
    text = signature.signature_base_string(
        "GET", signature.base_string_uri(base), signature.normalize_parameters(pairs)
    )
    key = f"{quote(credentials[client_key], safe='~')}&".encode()
    expected = base64.b64encode(hmac.digest(key, text.encode(), METHODS[method])).decode()
    if not secrets.compare_digest(expected, parameters.get("oauth_signature", "")):
        return "signature does not match"
    return None if nonces.first_time(client_key, nonce, timestamp) else "nonce used before"
