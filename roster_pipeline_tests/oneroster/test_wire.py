"""Network and shared state of processes: addresses, DNS rebinding, slots, ids in eight bytes, retries."""

import ipaddress
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpcore
import numpy as np
import pytest

from roster_pipeline.oneroster import AddressNotAllowed, Unreachable
from roster_pipeline.oneroster.collections.proof import SeenIds, hashes, hashes_and_names
from roster_pipeline.oneroster.http.addresses import allowed_addresses, is_loopback, is_public, refuse_address
from roster_pipeline.oneroster.http.throttle import HostSemaphore
from roster_pipeline_tests.oneroster.client_helpers import Start

PRIVATE = ["127.0.0.1", "10.0.0.8", "192.168.1.1", "172.16.0.1", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
PRIVATE += ["fec0::1", "::127.0.0.1", "64:ff9b:1::a00:1", "::ffff:0:10.0.0.1", "2002:a00:1::1", "2001:0:a00:1::"]
CLOUDS = ["168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254"]
CLOUDS += ["fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "64:ff9b::6464:64c8", "2002:6464:64c8::1"]
NEWEST = ["3fff::1", "5f00::1", "100:0:0:1::1", "192.31.196.1", "192.88.99.1", "2001:20::1", "2001:1::1", "240.0.0.1"]
"""Blocks of the registries that some Python versions do not know, and special ones that are globally reachable."""
NEVER = ["169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_permission(address: str) -> None:
    with pytest.raises(AddressNotAllowed):
        refuse_address(ipaddress.ip_address(address), allow_private=False)
    refuse_address(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", [*NEVER, *CLOUDS])
def test_the_credentials_service_of_a_cloud_is_never_asked(address: str) -> None:
    with pytest.raises(AddressNotAllowed):
        refuse_address(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", NEWEST)
def test_the_newest_registries_count_and_not_the_tables_of_this_python(address: str) -> None:
    with pytest.raises(AddressNotAllowed):
        refuse_address(ipaddress.ip_address(address), allow_private=False)


def test_whatever_python_calls_private_is_private_here() -> None:
    blocks = [*ipaddress._IPv4Constants._private_networks, *ipaddress._IPv6Constants._private_networks]  # type: ignore[attr-defined]
    for block in blocks:
        for address in (block[0], block[-1]):
            if not address.is_global:
                assert not is_public(address), address


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_fine(address: str) -> None:
    refuse_address(ipaddress.ip_address(address), allow_private=False)


def test_one_private_address_among_public_ones_spoils_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.8")]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    with pytest.raises(AddressNotAllowed):
        allowed_addresses("sis.example.org", 443, allow_private=False)


def test_the_connection_goes_to_the_address_that_was_checked(sis: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    served = sis()
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *rest: Any, **more: Any) -> Any:
        if host == "localhost":
            asked.append(host)
            return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", rest[0]))]
        assert not asked or host == "127.0.0.1", "the name is resolved once, by us"
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert served.pull(base_url=served.url.replace("127.0.0.1", "localhost")).complete


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    with pytest.raises(httpcore.ConnectError):
        allowed_addresses("no-such-host.invalid", 443, allow_private=True)


@pytest.mark.parametrize(
    ("host", "loopback"), [("localhost", True), ("[::1]", True), ("127.8.9.1", True), ("a.b", False)]
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_requests_are_not_logged_because_their_urls_hold_ids(sis: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        sis().pull()
    assert not [record for record in caplog.records if record.name.startswith("httpx")]


def test_slots_are_shared_by_everybody_who_asks_the_same_host() -> None:
    most = 0
    inside = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal most, inside
        with HostSemaphore("slots.example.org", 2, 10).slot():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert not any(file.exists() for file in HostSemaphore("slots.example.org", 2, 10)._files)


def test_a_slot_whose_file_was_removed_by_its_last_holder_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody opened the file before the holder removed it, and locks it afterwards: it is nobody's lock any more."""
    first, second = (HostSemaphore("freed.example.org", 1, 0.05) for _ in range(2))
    really = os.open
    freed: list[bool] = []

    def open_while_it_is_freed(file: Path, *rest: int) -> int:
        descriptor = really(file, *rest)
        if not freed:
            freed.append(True)
            file.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_while_it_is_freed)
    with first.slot(), pytest.raises(Unreachable), second.slot():
        pass


def test_waiting_for_a_slot_ends() -> None:
    slots = HostSemaphore("busy.example.org", 1, 0.05)
    with slots.slot(), pytest.raises(Unreachable, match="busy for too long"), slots.slot():
        pass


def test_ids_are_recognised_across_pages_and_within_one() -> None:
    seen = SeenIds()
    assert seen.add(hashes([{"sourcedId": "a"}, {"sourcedId": "b"}, {"sourcedId": " a "}])).tolist() == [
        True,
        True,
        False,
    ]
    assert seen.add(hashes([{"sourcedId": "c"}, {"sourcedId": "b"}])).tolist() == [True, False]
    assert len(seen) == 3


def test_a_million_ids_take_eight_bytes_each() -> None:
    seen = SeenIds()
    for start in range(0, 1_000_000, 1000):
        seen.add(np.arange(start, start + 1000, dtype=np.int64) * 7919)
    assert len(seen) == 1_000_000
    assert sum(run.nbytes for run in seen._runs) == 8_000_000
    assert seen.has(np.array([7919 * 999_999, 1], dtype=np.int64)).tolist() == [True, False]


def test_records_without_an_id_are_known_to_have_none() -> None:
    _, named = hashes_and_names([{"sourcedId": "a"}, {"SourcedID": 7}, {"sourcedId": None}, None, "x"])
    assert named.tolist() == [True, True, False, False, False]
