"""An allowed zip is an ordinary one, whole, of limited size, with plain files in one folder."""

import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from roster_pipeline.oneroster import TooLarge
from roster_pipeline.oneroster.bundle import (
    BundleBroken,
    BundleError,
    BundleLimits,
    BundleMoving,
    BundleTooLarge,
    BundleUnsafe,
    MissingFile,
    pull_bundle,
    source_of,
)
from roster_pipeline.oneroster.collections.wanted import Wanted
from roster_pipeline_tests.oneroster_bundle.writing import STUDENT, Read, as_zip, bundle_11, bundle_12

MANY = [STUDENT | {"sourcedId": f"stu-{n}", "username": f"user{n}"} for n in range(3000)]


def zipped(tmp_path: Path, files: dict[str, bytes] | None = None) -> Path:
    return as_zip(tmp_path / "bundle.zip", files or bundle_11())


def test_a_zip_reads_like_a_folder(tmp_path: Path) -> None:
    result = Read(zipped(tmp_path, bundle_12(*MANY[:10])))
    assert len(result.users) == 10
    assert result.proof.server_time is not None


@pytest.mark.parametrize("folder", ["export/", "2026/november/", "a\\b\\"])
def test_q99_files_may_lie_below_a_folder(tmp_path: Path, folder: str) -> None:
    files = {f"{folder}{name}": content for name, content in bundle_11().items()}
    assert len(Read(zipped(tmp_path, files)).users) == 1


def test_q99_files_too_deep_are_not_looked_for(tmp_path: Path) -> None:
    files = {f"a/b/c/d/{name}": content for name, content in bundle_11().items()}
    with pytest.raises(MissingFile):
        Read(zipped(tmp_path, files))


def test_q99_other_files_and_the_rubbish_of_file_managers_do_not_matter(tmp_path: Path) -> None:
    more = {"README.txt": b"x", "classes.csv": b"\x00", "__MACOSX/._users.csv": b"\x00", ".users.csv": b"\x00"}
    assert len(Read(zipped(tmp_path, bundle_11() | more)).users) == 1


def test_q99_one_bundle_per_school_in_one_zip_is_refused(tmp_path: Path) -> None:
    files = {f"{school}/{name}": content for school in ("north", "south") for name, content in bundle_11().items()}
    with pytest.raises(BundleUnsafe, match="more than once"):
        Read(zipped(tmp_path, files))


def test_files_in_different_folders_are_refused(tmp_path: Path) -> None:
    files = bundle_11()
    files["old/users.csv"] = files.pop("users.csv")
    with pytest.raises(BundleUnsafe, match="different folders"):
        Read(zipped(tmp_path, files))


def test_names_that_differ_by_case_only_are_the_same_file_twice(tmp_path: Path) -> None:
    with pytest.raises(BundleUnsafe, match=r"users\.csv more than once"):
        Read(zipped(tmp_path, bundle_11() | {"Users.CSV": b"x"}))


@pytest.mark.parametrize(
    "name", ["../users.csv", "a/../../users.csv", "/etc/users.csv", "C:\\users.csv", "..\\users.csv", "\\\\host\\x.csv"]
)
def test_a_path_that_leads_out_of_the_zip_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleUnsafe, match="leads out of it"):
        Read(zipped(tmp_path, bundle_11() | {name: b"x"}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    path = zipped(tmp_path)
    info = zipfile.ZipInfo("link.csv")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BundleUnsafe, match="special file"):
        Read(path)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("users.csv", b"x")
    with pytest.raises(BundleUnsafe):
        Read(path)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path)
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(mark)
        content[place + at] |= 1
    path.write_bytes(content)
    with pytest.raises(BundleUnsafe, match="encrypted"):
        Read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_ways_of_packing_are_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in bundle_11().items():
            archive.writestr(name, content)
    with pytest.raises(BundleBroken, match="deflate"):
        Read(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.99, 0.999])
def test_a_truncated_zip_is_an_error(tmp_path: Path, share: float) -> None:
    path = zipped(tmp_path, bundle_11(*MANY))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleBroken):
        Read(path)


def test_a_damaged_byte_is_found_before_a_single_record_is_handed_on(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "bundle.zip", bundle_11(*MANY))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("users.csv")
        content[info.header_offset + 30 + len("users.csv") + info.compress_size - 20] ^= 0xFF
    path.write_bytes(content)
    batches = iter(pull_bundle(source_of(f"file://{path}", allow_private=True), Wanted()))
    with pytest.raises(BundleBroken, match=r"users\.csv is damaged"):
        next(batches)


def test_what_is_no_zip_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_text("<html>Please sign in</html>")
    with pytest.raises(BundleBroken, match="not a zip"):
        Read(path)


def lying_about_the_size(path: Path) -> None:
    """The table of contents claims 10 bytes for users.csv."""
    content = bytearray(path.read_bytes())
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        length = struct.unpack("<H", content[at + 28 : at + 30])[0]
        if content[at + 46 : at + 46 + length] == b"users.csv":
            content[at + 24 : at + 28] = struct.pack("<L", 10)
    path.write_bytes(content)


def test_a_zip_that_lies_about_its_sizes_is_an_error(tmp_path: Path) -> None:
    path = zipped(tmp_path, bundle_11(*MANY))
    lying_about_the_size(path)
    with pytest.raises(BundleError):
        Read(path)


SMALL = BundleLimits(file_bytes=100_000)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (BundleLimits(archive_bytes=1000), "The zip is larger"),
        (BundleLimits(file_bytes=100_000), r"users\.csv is larger"),
        (BundleLimits(total_bytes=200_000), "unpacked bundle"),
        (BundleLimits(ratio=2, ratio_from=1000), "times its packed size"),
        (BundleLimits(members=2), "more than 2 files"),
        (BundleLimits(directory_bytes=50), "files"),
    ],
)
def test_every_size_is_bounded(tmp_path: Path, limits: BundleLimits, told: str) -> None:
    path = zipped(tmp_path, bundle_11(*MANY))
    with pytest.raises(BundleTooLarge, match=told) as caught:
        Read(path, limits=limits)
    assert isinstance(caught.value, TooLarge)


def test_a_zip_bomb_is_refused_by_what_it_claims(tmp_path: Path) -> None:
    path = zipped(tmp_path, bundle_11() | {"users.csv": b"sourcedId,givenName\r\n" + b"0" * 40_000_000})
    assert path.stat().st_size < 100_000
    with pytest.raises(BundleTooLarge, match="times its packed size"):
        Read(path)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, bundle_11() | {"users.csv": b"sourcedId," * 30_000})
    with pytest.raises(BundleTooLarge, match="a line of more than"):
        Read(path)


def test_a_zip_that_is_rewritten_while_it_is_read_is_tried_again_later(tmp_path: Path) -> None:
    path = zipped(tmp_path, bundle_11(*MANY))
    batches = iter(pull_bundle(source_of(f"file://{path}", allow_private=True), Wanted()))
    next(batches)
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path)
    with pytest.raises(BundleMoving) as caught:
        list(batches)
    assert caught.value.retryable


@pytest.mark.parametrize("spoil", [lying_about_the_size, lambda path: path.write_bytes(path.read_bytes()[:500])])
def test_errors_say_what_to_do_and_name_no_person(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    path = zipped(tmp_path, bundle_11(*MANY))
    spoil(path)
    with pytest.raises(BundleError) as caught:
        Read(path)
    assert caught.value.remedy
    assert not any(word in str(caught.value) for word in ("Mira", "Oduya", "mira@", "stu-1"))
