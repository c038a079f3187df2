"""Bundles over SFTP, from a real server: host keys, limits, and files that are still written."""

import asyncio
import gc
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from roster_pipeline.oneroster import (
    AddressNotAllowed,
    OneRosterError,
    Refused,
    SignInRefused,
    TooLarge,
    TooSlow,
    Unreachable,
    Wanted,
)
from roster_pipeline.oneroster.bundle import (
    BundleBroken,
    BundleMoving,
    BundleNotFound,
    BundleSource,
    BundleTooLarge,
    BundleUnsafe,
    HostKeyRefused,
    pull_bundle,
    source_of,
)
from roster_pipeline_tests.oneroster_bundle.sftp_server import LIMITS, PASSWORD, USER, Files, SftpServer
from roster_pipeline_tests.oneroster_bundle.writing import STUDENT, as_folder, as_zip, bundle_11, bundle_12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    as_zip(folder / "bundle.zip", bundle_12())
    with SftpServer(folder) as running:
        yield running


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return tmp_path / "served"


def people(source: BundleSource) -> list[str]:
    pulled = pull_bundle(source, Wanted())
    return [user["sourcedId"] for batch in pulled if batch.kind == "user" for user in batch.records]


def test_a_zip_is_fetched_and_read(server: SftpServer) -> None:
    pulled = pull_bundle(server.source(), Wanted())
    assert [user["sourcedId"] for batch in pulled if batch.kind == "user" for user in batch.records] == ["stu-1"]
    assert (pulled.proof.complete, pulled.proof.requests) == (True, 1)


def test_nothing_stays_on_disk(server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "here"))
    batches = iter(pull_bundle(server.source(), Wanted()))
    next(batches)
    [folder] = (tmp_path / "here").iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    batches.close()  # type: ignore[attr-defined]
    assert list((tmp_path / "here").iterdir()) == []
    with pytest.raises(BundleNotFound):
        people(server.source("/nowhere.zip"))
    assert list((tmp_path / "here").iterdir()) == []


def test_the_newest_zip_of_a_folder_is_taken(server: SftpServer, served: Path) -> None:
    (served / "out").mkdir()
    for name, person, at in (("b.zip", "stu-new", 1_800_000_000), ("c.zip", "stu-old", 1_700_000_000)):
        os.utime(as_zip(served / "out" / name, bundle_11(STUDENT | {"sourcedId": person})), (at, at))
    (served / "out" / "z.zip").symlink_to("/etc/passwd")
    assert people(server.source("/out")) == ["stu-new"]
    assert people(server.source("/out/c*.zip")) == ["stu-old"]
    with pytest.raises(BundleNotFound, match=r"no file that fits roster-\*\.zip"):
        people(server.source("/out/roster-*.zip"))


def test_a_folder_of_csv_files_is_fetched_file_by_file(server: SftpServer, served: Path) -> None:
    as_folder(served / "csv", bundle_12() | {"classes.csv": b"x"})
    pulled = pull_bundle(server.source("/csv"), Wanted())
    assert sum(len(batch.records) for batch in pulled) == 2
    assert pulled.proof.requests == 4


def test_a_file_that_is_there_twice_in_other_letters_is_an_error(server: SftpServer, served: Path) -> None:
    as_folder(served / "csv", bundle_11())
    as_folder(served / "csv", {"USERS.CSV": bundle_11(STUDENT | {"sourcedId": "stu-old"})["users.csv"]})
    with pytest.raises(BundleUnsafe, match=r"users\.csv more than once"):
        people(server.source("/csv"))


@pytest.mark.parametrize("kind", ["fingerprint", "public key", "known_hosts", "known_hosts with port", "second key"])
def test_the_host_key_may_be_given_in_every_usual_form(server: SftpServer, kind: str) -> None:
    line = server.keys[0].export_public_key().decode().strip()
    given = {
        "fingerprint": server.fingerprint,
        "public key": line,
        "known_hosts": f"# ours\nother.example.org {line}\n127.0.0.1 {line}",
        "known_hosts with port": f"[127.0.0.1]:{server.port} {line}",
        "second key": server.keys[1].get_fingerprint(),
    }[kind]
    assert people(server.source(host_key=given)) == ["stu-1"]


STRANGER = asyncssh.generate_private_key("ssh-ed25519")


@pytest.mark.parametrize(
    "given",
    [
        STRANGER.get_fingerprint(),
        STRANGER.export_public_key().decode(),
        "SHA256:short",
        "ssh-ed25519 nonsense",
        "MD5:00:11:22",
        "",
        None,
    ],
    ids=["fingerprint of a stranger", "key of a stranger", "too short", "no key", "MD5", "empty", "nothing"],
)
def test_a_server_that_does_not_prove_itself_is_refused(server: SftpServer, given: str | None) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        people(server.source(host_key=given))
    assert PASSWORD not in str(caught.value)


def test_a_line_for_another_host_proves_nothing(server: SftpServer) -> None:
    line = server.keys[0].export_public_key().decode().strip()
    with pytest.raises(HostKeyRefused):
        people(server.source(host_key=f"other.example.org {line}"))


def test_the_error_shows_the_key_of_the_server(server: SftpServer) -> None:
    with pytest.raises(HostKeyRefused, match="SHA256:"):
        people(server.source(host_key=STRANGER.get_fingerprint()))


def test_the_password_is_never_sent_to_a_stranger(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def begin(server: object, username: str) -> bool:
        asked.append(username)
        return True

    monkeypatch.setattr("roster_pipeline_tests.oneroster_bundle.sftp_server._Server.begin_auth", begin)
    with pytest.raises(HostKeyRefused):
        people(server.source(host_key=STRANGER.get_fingerprint()))
    assert asked == []


def test_a_wrong_password_is_a_refused_sign_in(server: SftpServer) -> None:
    with pytest.raises(SignInRefused) as caught:
        people(server.source(secret="wrong"))
    assert "wrong" not in caught.value.message


def test_a_private_key_signs_in(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    as_zip(tmp_path / "bundle.zip", bundle_11())
    with SftpServer(tmp_path, allowed=key) as server:
        assert people(server.source(secret=key.export_private_key().decode())) == ["stu-1"]
        with pytest.raises(SignInRefused):
            people(server.source(secret=STRANGER.export_private_key().decode()))
        locked = key.export_private_key("pkcs8-pem", passphrase="x").decode()
        with pytest.raises(SignInRefused, match="cannot be read"):
            people(server.source(secret=locked))
        with pytest.raises(SignInRefused, match="cannot be read"):
            people(server.source(secret="-----BEGIN OPENSSH PRIVATE KEY-----\nx"))


def test_a_private_address_is_refused_unless_the_operator_allows_it(server: SftpServer) -> None:
    with pytest.raises(AddressNotAllowed):
        people(server.source(allow_private=False))


def test_nobody_at_the_address_is_unreachable(server: SftpServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable):
        people(replace(server.source(), port=port))


def test_something_else_at_the_address_is_unreachable(server: SftpServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = replace(server.source(), port=silent.getsockname()[1], limits=replace(LIMITS, connect_seconds=0.3))
        with pytest.raises(OneRosterError) as caught:
            people(source)
    assert caught.value.retryable


def test_a_path_that_is_not_there_and_one_that_may_not_be_read(
    server: SftpServer, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleNotFound, match="no file or folder"):
        people(server.source("/nowhere"))

    def refuse(path: str) -> None:
        raise asyncssh.SFTPPermissionDenied("no")

    monkeypatch.setattr(Files, "before_stat", staticmethod(refuse))
    with pytest.raises(Refused):
        people(server.source())


def test_a_file_that_still_grows_is_left_for_later(
    server: SftpServer, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(path: str) -> None:
        with (served / "bundle.zip").open("ab") as file:
            file.write(b"x")

    monkeypatch.setattr(Files, "before_stat", staticmethod(grow))
    with pytest.raises(BundleMoving, match="still being written") as caught:
        people(server.source())
    assert caught.value.retryable


def test_a_file_that_is_cut_while_it_is_fetched_is_left_for_later(
    server: SftpServer, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "before_read", staticmethod(lambda: os.truncate(served / "bundle.zip", 100)))
    with pytest.raises(BundleMoving):
        people(server.source())


def test_a_truncated_zip_on_the_server_is_broken(server: SftpServer, served: Path) -> None:
    os.truncate(served / "bundle.zip", 200)
    with pytest.raises(BundleBroken):
        people(server.source())


@pytest.mark.parametrize(("bounds", "error"), [({"archive_bytes": 100}, BundleTooLarge), ({"listing": 1}, TooLarge)])
def test_sizes_are_bounded_before_anything_is_fetched(
    server: SftpServer, served: Path, bounds: dict[str, Any], error: type[Exception]
) -> None:
    as_zip(served / "another.zip", bundle_11())
    with pytest.raises(error):
        people(server.source("/", limits=replace(LIMITS, **bounds)))


def test_a_server_that_dawdles_is_cut_off_and_nothing_else_is_logged(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Files, "before_read", staticmethod(lambda: time.sleep(0.8)))
    with pytest.raises(TooSlow):
        people(server.source(limits=replace(LIMITS, download_seconds=0.4)))
    gc.collect()
    assert not [one for one in caplog.records if one.name == "asyncio" and one.levelname == "ERROR"]


def test_a_server_that_answers_nothing_more_is_cut_off(tmp_path: Path) -> None:
    asked_for_all = threading.Event()

    class Silent(Files):
        async def read(self, file_obj: Any, offset: int, size: int) -> Any:
            while not asked_for_all.is_set():
                await asyncio.sleep(0.01)
            return super().read(file_obj, offset, size)

    as_zip(tmp_path / "bundle.zip", bundle_12())
    with SftpServer(tmp_path, Silent) as running:
        with pytest.raises(TooSlow, match="not fetched within"):
            people(running.source(limits=replace(LIMITS, download_seconds=0.4)))
        asked_for_all.set()
        assert people(running.source()) == ["stu-1"]


@pytest.mark.parametrize("kind", [None, 0o644])
def test_a_server_that_does_not_say_what_an_entry_is_is_read(tmp_path: Path, kind: int | None) -> None:
    class Vague(Files):
        async def scandir(self, path: bytes) -> Any:
            async for entry in super().scandir(path):
                entry.attrs.permissions = kind
                yield entry

    as_zip(tmp_path / "bundle.zip", bundle_12())
    with SftpServer(tmp_path, Vague) as running:
        assert people(running.source("/")) == ["stu-1"]


def test_a_name_that_is_not_utf_8_is_a_name(server: SftpServer, served: Path) -> None:
    (served / "bundle.zip").rename(os.fsdecode(bytes(served) + b"/Sch\xfcler.zip"))
    assert people(server.source("/")) == ["stu-1"]
    assert people(source_of(f"file://{served}", allow_private=True)) == ["stu-1"]


@pytest.mark.parametrize("odd", [{"secret": "a\ud800"}, {"user": "a\0b"}])
def test_a_password_that_sftp_cannot_carry_gets_a_clear_message(server: SftpServer, odd: dict[str, str]) -> None:
    with pytest.raises(SignInRefused):
        people(server.source(**odd))


def test_nothing_secret_is_shown(server: SftpServer) -> None:
    source = server.source()
    assert PASSWORD not in repr(source)
    assert source.shown == f"sftp://127.0.0.1:{server.port}/bundle.zip"
    assert USER not in source.shown


def test_deltas_since_the_last_whole_zip_are_fetched_as_far_as_they_are_needed(
    server: SftpServer, served: Path
) -> None:
    (served / "out").mkdir()
    changed = STUDENT | {"status": "active", "dateLastModified": "2026-11-02T10:00:00.000Z"}
    for name, person, mode, at in (
        ("a.zip", STUDENT | {"sourcedId": "stu-never"}, "bulk", 1_699_900_000),
        ("b.zip", STUDENT | {"sourcedId": "stu-whole"}, "bulk", 1_700_000_000),
        ("c.zip", changed | {"sourcedId": "stu-changed"}, "delta", 1_700_080_000),
    ):
        os.utime(as_zip(served / "out" / name, bundle_11(person, mode=mode)), (at, at))
    pulled = pull_bundle(server.source("/out"), Wanted())
    assert [user["sourcedId"] for batch in pulled if batch.kind == "user" for user in batch.records] == [
        "stu-changed",
        "stu-whole",
    ]
    assert (pulled.proof.mode, pulled.proof.complete, pulled.proof.requests) == ("full", True, 2)
