"""Records of other people that are marked as deleted: they end nobody's membership, in a list, a delta or an answer."""

from collections.abc import Callable
from typing import Any

import pytest

from roster_pipeline.directory import manual_edits, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.sources.conftest import Record, School, Source, manifest, pupil

PUPILS = 24


def deleted(place: int, **members: Any) -> Record:
    """The n-th pupil's id, marked as deleted by another district, with everything of somebody else."""
    told = {"givenName": f"Zoe{place}", "familyName": f"Zed{place}", "identifier": str(700 + place)}
    told |= {"username": f"zoe{place}", "email": f"zoe{place}@else.example", "status": "tobedeleted"}
    return pupil(place) | told | members


def everybody(*instead: Record) -> list[Record]:
    """The pupils of the school, some of them with another record."""
    others = {one["sourcedId"] for one in instead}
    return [*(one for one in map(pupil, range(PUPILS)) if one["sourcedId"] not in others), *instead]


def deletions(school: School, *users: Record) -> dict[str, str]:
    """A night with only these records: as a delta of CSV, or in the whole list."""
    if school.source.kind == "csv":
        school.source.users, school.source.files = list(users), {"manifest.csv": manifest(users="delta")}
    else:
        school.source.users = everybody(*users)
    told = school.sync()
    return {one: told[one] for one in sorted(user["sourcedId"] for user in users)}


def test_only_deletions_of_the_person_end_a_membership(database: Database, source: Source) -> None:
    school = School.begun(database, source, everybody())
    emptied = {"givenName": "Deleted", "familyName": "User", "email": "", "username": "x", "identifier": ""}
    anonymous = {"givenName": "Deleted", "familyName": "User 5", "email": "x5@x.example", "identifier": "D5"}
    night = [
        deleted(1),
        pupil(2, status="tobedeleted"),
        pupil(3, status="tobedeleted") | emptied,
        deleted(4, role="", orgSourcedIds=""),
        pupil(5, status="tobedeleted") | anonymous | {"username": "x5"},
    ]
    assert deletions(school, *night) == {
        "st1": "id_reassigned",
        "st2": "tobedeleted",
        "st3": "tobedeleted",
        "st4": "id_reassigned",
        "st5": "tobedeleted",
    }
    assert school.present == {f"st{place}" for place in range(PUPILS)} - {"st2", "st3", "st5"}


def test_deletions_of_a_whole_other_district_archive_nobody(database: Database, source: Source) -> None:
    school = School.begun(database, source, everybody())
    assert set(deletions(school, *map(deleted, range(12))).values()) == {"id_reassigned"}
    assert len(school.present) == PUPILS
    assert "reassigned_ids" in school.guards


def test_an_answer_that_is_the_deletion_of_somebody_else_is_no_second_witness(database: Database, rest: Source) -> None:
    school = School.begun(database, rest, everybody())
    rest.users = [one for one in everybody() if one["sourcedId"] not in ("st1", "st2", "st3")]
    rest.single = everybody(deleted(1), pupil(2, status="tobedeleted"), deleted(3, identifier="9003"))
    told = school.sync()
    assert [told[one] for one in ("st1", "st2", "st3")] == ["not_confirmed", "left", "left"]
    assert school.present == {f"st{place}" for place in range(PUPILS)} - {"st2", "st3"}


@pytest.mark.parametrize(
    ("decide", "reasons", "stays"),
    [(manual_edits.link, ["tobedeleted"], False), (manual_edits.unlink, ["not_linked"], True)],
    ids=["the same", "somebody else"],
)
def test_somebody_says_whose_deletion_it_is(
    database: Database, rest: Source, decide: Callable[..., None], reasons: list[str], stays: bool
) -> None:
    school = School.begun(database, rest, everybody())
    deletions(school, deleted(1))
    who = school.value("select person_id from link where sourced_id = 'st1'")
    with database.begin() as conn:
        decide(conn, tenants.get_connection(conn, school.connection), who, "st1", who="owner", reason="looked at it")
    school.sync()
    told = school.rows(
        "select reason from plan_line where person_id = :who and plan_id = (select max(id) from plan)", who=who
    )
    assert [row["reason"] for row in told] == reasons
    assert school.value("select status = 'active' from membership where person_id = :who", who=who) is stays
