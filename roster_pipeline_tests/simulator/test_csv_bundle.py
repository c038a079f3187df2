"""CSV bundles of the same district, as the binding demands and as exports deviate."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roster_pipeline.simulator import District, Faults
from roster_pipeline_tests.csv_bundle import Deviation, columns_of, write_csv_bundle

Table = list[dict[str, str]]


def read(path: Path) -> dict[str, Table]:
    """The tables of a zip by file name."""
    with zipfile.ZipFile(path) as package:
        return {
            name: list(csv.DictReader(io.StringIO(package.read(name).decode("utf-8")))) for name in package.namelist()
        }


def manifest(tables: dict[str, Table]) -> dict[str, str]:
    return {row["propertyName"]: row["value"] for row in tables["manifest.csv"]}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_bulk_bundle_is_the_whole_truth(district: District, tmp_path: Path, version: str) -> None:
    leaver = district.people_of("sch-1", "student")[0].sourced_id
    district.remove(leaver, how="mark")
    tables = read(write_csv_bundle(district, tmp_path / "bulk.zip", version=version))
    assert len(tables["users.csv"]) == len(district) - 1
    assert leaver not in {row["sourcedId"] for row in tables["users.csv"]}
    stated = manifest(tables)
    assert stated["oneroster.version"] == version
    assert len([name for name in stated if name.startswith("file.")]) == (13 if version == "1.1" else 21)
    for name, columns in columns_of(version).items():
        extensions = ["metadata.homeroom"] if name == "users" else []
        assert list(tables[f"{name}.csv"][0]) == [*columns, *extensions]
        assert stated[f"file.{name}"] == "bulk"
        assert {(row["status"], row["dateLastModified"]) for row in tables[f"{name}.csv"]} == {("", "")}
    ids = {name: {row["sourcedId"] for row in table} for name, table in tables.items() if name != "manifest.csv"}
    for enrollment in tables["enrollments.csv"]:
        assert enrollment["classSourcedId"] in ids["classes.csv"]
        assert enrollment["schoolSourcedId"] in ids["orgs.csv"]


def test_1_2_has_its_roles_in_a_file_of_their_own(district: District, tmp_path: Path) -> None:
    modern = read(write_csv_bundle(district, tmp_path / "modern.zip"))
    legacy = read(write_csv_bundle(district, tmp_path / "legacy.zip", version="1.1"))
    assert "role" not in modern["users.csv"][0]
    assert {row["role"] for row in modern["roles.csv"]} >= {"principal", "student", "districtAdministrator"}
    assert "roles.csv" not in legacy
    assert any("," in row["orgSourcedIds"] for row in legacy["users.csv"])
    user = next(row for row in modern["users.csv"] if row["sourcedId"] == "u-1003")
    assert user["userIds"] == "{stateID:9000000003}"
    assert "," in user["agentSourcedIds"]


def test_a_delta_holds_what_changed_and_marks_but_not_what_vanished(district: District, tmp_path: Path) -> None:
    renamed, marked, vanished = (person.sourced_id for person in district.people_of("sch-1", "student")[:3])
    district.rename(renamed)
    district.remove(marked, how="mark")
    district.remove(vanished)
    since = datetime(2026, 9, 10, tzinfo=UTC)
    tables = read(write_csv_bundle(district, tmp_path / "delta.zip", mode="delta", since=since))
    assert {row["sourcedId"]: row["status"] for row in tables["users.csv"]} == {
        renamed: "active",
        marked: "tobedeleted",
    }
    assert manifest(tables)["file.users"] == "delta"
    assert manifest(tables)["file.orgs"] == "absent"
    assert "orgs.csv" not in tables


def test_a_bundle_can_be_a_folder(district: District, tmp_path: Path) -> None:
    write_csv_bundle(district, tmp_path / "folder")
    assert (tmp_path / "folder" / "users.csv").read_text(encoding="utf-8").startswith("sourcedId,status,")


def test_deviations(district: District, tmp_path: Path) -> None:
    def files(**options: object) -> dict[str, bytes]:
        path = write_csv_bundle(district, tmp_path / "odd.zip", deviation=Deviation(**options))  # type: ignore[arg-type]
        with zipfile.ZipFile(path) as package:
            return {name: package.read(name) for name in package.namelist()}

    assert files(header_case=True)["users.csv"].startswith(b"SourcedID,Status,")
    assert files(bom=True)["users.csv"].startswith(b"\xef\xbb\xbfsourcedId")
    assert b",metadata.vendorNote\r\n" in files(extra_column=True)["users.csv"]
    assert (
        b'"u-1075 , u-1076"' in files(blanks_in_lists=True)["users.csv"]
        or b" , u-" in files(blanks_in_lists=True)["users.csv"]
    )
    assert files(shuffled_columns=True)["orgs.csv"].startswith(b"name,type,identifier")
    assert "manifest.csv" not in files(no_manifest=True)
    assert "roles.csv" not in files(no_roles_file=True)
    mixed = files(roles_in_users=True)
    assert b"orgSourcedIds" in mixed["users.csv"]
    assert b"oneroster.version,1.2" in mixed["manifest.csv"]
    assert "export/users.csv" in files(below_folder="export/")
    assert "README.txt" in files(extra_files=True)
    assert "users.csv" not in files(missing=("users",))
    assert "Users_export.csv" in files(renamed={"users": "Users_export"})
    assert files(wrong_header=("users",))["users.csv"].startswith(b"id,status")
    assert b",active,," in files(status_filled=True)["orgs.csv"]
    assert files(no_data_rows=("users",))["users.csv"].count(b"\n") == 1
    with pytest.raises(UnicodeDecodeError):
        files(encoding="cp1252")["users.csv"].decode()


def test_id_faults_reach_the_csv_too(district: District, tmp_path: Path) -> None:
    faults = Faults("id_scheme=role_prefix")
    rows = read(write_csv_bundle(district, tmp_path / "ids.zip", version="1.1", faults=faults))["users.csv"]
    assert {"t1065", "a1065"} <= {row["sourcedId"] for row in rows}
