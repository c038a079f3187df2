"""CSV bundles of the same district, as in the standard."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roster_pipeline.simulator import District
from roster_pipeline_tests.csv_bundle import COLUMNS, write_csv_bundle

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
    assert manifest(tables)["oneroster.version"] == version
    for name, columns in COLUMNS[version].items():
        assert list(tables[f"{name}.csv"][0]) == [*columns, *(["metadata.homeroom"] if name == "users" else [])]
        assert manifest(tables)[f"file.{name}"] == "bulk"
        assert {(row["status"], row["dateLastModified"]) for row in tables[f"{name}.csv"]} == {("", "")}
    schools = {row["sourcedId"] for row in tables["orgs.csv"]}
    assert {row["schoolSourcedId"] for row in tables["enrollments.csv"]} <= schools


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
