"""From a connection's URL to a source, and what is refused before anything is opened."""

from __future__ import annotations

import pytest

from roster_pipeline.oneroster import AddressNotAllowed, OneRosterError, SignInRefused, WrongAddress
from roster_pipeline.oneroster.bundle import LocalSource, SftpSource, is_bundle_url, source_of


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
