"""Sources of bundles: addresses, refusals before anything is opened, and folders."""

import os
from pathlib import Path

import pytest

from roster_pipeline.oneroster import AddressNotAllowed, OneRosterError, SignInRefused, TooLarge, WrongAddress
from roster_pipeline.oneroster.bundle import (
    BundleBroken,
    BundleLimits,
    BundleMoving,
    BundleNotFound,
    BundleTooLarge,
    BundleUnsafe,
    LocalSource,
    MissingFile,
    SftpSource,
    pull_bundle,
    source_of,
)
from roster_pipeline.oneroster.collections.wanted import Wanted
from roster_pipeline.oneroster.http.addresses import is_bundle_url
from roster_pipeline_tests.oneroster_bundle.writing import STUDENT, Read, as_folder, as_zip, bundle_11

SECRET = STUDENT | {"sourcedId": "stu-secret"}


@pytest.mark.parametrize(
    ("url", "is_bundle"),
    [
        ("file:///exports", True),
        (" SFTP://host/x ", True),
        ("https://sis.example.org/file://", False),
        ("sis.example.org", False),
    ],
)
def test_the_scheme_tells_a_bundle_from_an_api(url: str, is_bundle: bool) -> None:
    assert is_bundle_url(url) is is_bundle


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///exports/roster.zip", "/exports/roster.zip"),
        ("file://localhost/exports", "/exports"),
        ("file:///my%20exports/r?ster-*.zip", "/my exports/r?ster-*.zip"),
        ("file:///exports/roster #1.zip", "/exports/roster #1.zip"),
    ],
)
def test_a_local_path(url: str, path: str) -> None:
    source = source_of(url, allow_private=True)
    assert isinstance(source, LocalSource)
    assert source.path == path


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "path"),
    [
        ("sftp://sis.example.org/out/roster.zip", "sis.example.org", 22, "id", "/out/roster.zip"),
        ("sftp://kim@sis.example.org:2222/out", "sis.example.org", 2222, "id", "/out"),
        ("sftp://[2001:db8::1]/~/out", "2001:db8::1", 22, "id", "out"),
    ],
)
def test_a_server(url: str, host: str, port: int, user: str, path: str) -> None:
    source = source_of(url, "id", "secret", host_key="SHA256:x")
    assert isinstance(source, SftpSource)
    assert (source.host, source.port, source.user, source.path) == (host, port, user, path)


def test_the_user_may_stand_in_the_url() -> None:
    source = source_of("sftp://kim@sis.example.org/out", "", "secret")
    assert isinstance(source, SftpSource)
    assert source.user == "kim"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("file://", WrongAddress),
        ("file:///", WrongAddress),
        ("file://fileserver/share/roster.zip", WrongAddress),
        ("file:///a%00b", WrongAddress),
        ("sftp:///out", WrongAddress),
        ("sftp://host", WrongAddress),
        ("sftp://host:99999/out", WrongAddress),
        ("sftp://kim:hunter2@host/out", WrongAddress),
        ("ftp://host/out", WrongAddress),
    ],
)
def test_what_is_no_address_is_said_to_be_none(url: str, error: type[OneRosterError]) -> None:
    with pytest.raises(error) as caught:
        source_of(url, "id", "secret", allow_private=True)
    assert "hunter2" not in str(caught.value)
    assert caught.value.remedy


def test_this_machines_files_are_closed_unless_the_operator_opens_them() -> None:
    with pytest.raises(AddressNotAllowed):
        source_of("file:///etc")


@pytest.mark.parametrize(("client_id", "secret"), [("", "secret"), ("id", "")])
def test_a_server_needs_user_and_secret(client_id: str, secret: str) -> None:
    with pytest.raises(SignInRefused):
        source_of("sftp://host/out", client_id, secret)


def test_nobody_can_be_asked_for_a_single_person() -> None:
    report = source_of("file:///exports", allow_private=True).witness(["stu-1", "stu-2"])
    assert report.answers == {"stu-1": "unanswered", "stu-2": "unanswered"}
    assert report.serves_single_users is False


def test_a_link_in_the_folder_is_refused(tmp_path: Path) -> None:
    files = bundle_11()
    elsewhere = as_folder(tmp_path / "elsewhere", {"secret.csv": files.pop("users.csv")})
    folder = as_folder(tmp_path / "bundle", files)
    (folder / "users.csv").symlink_to(elsewhere / "secret.csv")
    with pytest.raises(BundleUnsafe, match="symbolic link"):
        Read(folder)


def test_a_pipe_is_not_a_file(tmp_path: Path) -> None:
    folder = as_folder(tmp_path, bundle_11())
    (folder / "users.csv").unlink()
    os.mkfifo(folder / "users.csv")
    with pytest.raises(MissingFile):
        Read(folder)


def test_files_below_one_folder_are_found(tmp_path: Path) -> None:
    as_folder(tmp_path / "export" / "csv", bundle_11())
    assert len(Read(tmp_path).users) == 1


def test_a_file_that_grows_while_it_is_read_is_tried_again_later(tmp_path: Path) -> None:
    folder = as_folder(tmp_path, bundle_11())
    batches = iter(pull_bundle(source_of(f"file://{folder}", allow_private=True), Wanted()))
    next(batches)
    with (folder / "users.csv").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BundleMoving) as caught:
        list(batches)
    assert caught.value.retryable


def test_a_file_is_tried_again_later_if_its_writer_only_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = as_folder(tmp_path, bundle_11())
    users = folder / "users.csv"
    os.utime(users)

    def write_on(seconds: float) -> None:
        assert 0 < seconds <= BundleLimits().settle_seconds
        with users.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr("roster_pipeline.oneroster.bundle.open_bundle.time.sleep", write_on)
    with pytest.raises(BundleMoving):
        Read(folder)


def test_a_folder_is_bounded(tmp_path: Path) -> None:
    folder = as_folder(tmp_path, bundle_11())
    with pytest.raises(BundleTooLarge, match="more than 2 files"):
        Read(folder, limits=BundleLimits(members=2))
    with pytest.raises(BundleTooLarge, match=r"users\.csv is larger"):
        Read(folder, limits=BundleLimits(file_bytes=100))
    with pytest.raises(BundleTooLarge, match="bundle is larger"):
        Read(folder, limits=BundleLimits(total_bytes=200))
    with pytest.raises(TooLarge, match="more than 1 files"):
        Read(folder, limits=BundleLimits(listing=1))


def test_of_several_zips_the_newest_is_taken(tmp_path: Path) -> None:
    for name, person, age in (("b.zip", "stu-old", 100), ("a.zip", "stu-new", 0), ("c.zip", "stu-older", 200)):
        path = as_zip(tmp_path / name, bundle_11(STUDENT | {"sourcedId": person}))
        os.utime(path, (1_800_000_000 - age, 1_800_000_000 - age))
    assert [user["sourcedId"] for user in Read(tmp_path).users] == ["stu-new"]
    assert [user["sourcedId"] for user in Read(tmp_path / "[bc].zip").users] == ["stu-old"]
    with pytest.raises(BundleNotFound, match=r"fits roster-\*\.zip"):
        Read(tmp_path / "roster-*.zip")


@pytest.mark.parametrize("content", [b"not a zip", b"PK\x03\x04 cut short"])
def test_an_error_names_the_zip_if_there_are_several(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "roster-2.zip").write_bytes(content)
    with pytest.raises(BundleBroken, match=r"^The "):
        Read(tmp_path)
    os.utime(as_zip(tmp_path / "roster-1.zip", bundle_11()), (1_800_000_000, 1_800_000_000))
    with pytest.raises(BundleBroken, match=r"^roster-2\.zip: The "):
        Read(tmp_path)


def test_a_link_is_never_the_newest_zip(tmp_path: Path) -> None:
    elsewhere = as_zip(tmp_path / "secret.zip", bundle_11(SECRET))
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "new.zip").symlink_to(elsewhere)
    with pytest.raises(BundleUnsafe):
        Read(tmp_path / "exports")
    with pytest.raises(BundleNotFound):
        Read(tmp_path / "exports" / "*.zip")


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="no file or folder"):
        Read(tmp_path / "nowhere.zip")
    with pytest.raises(MissingFile):
        Read(tmp_path)
