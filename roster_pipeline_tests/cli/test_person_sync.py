"""`roster person sync`: asks the SIS for one person and applies the answer."""

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet

from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import SECRET_KEY
from roster_pipeline_tests.cli.conftest import Roster
from roster_pipeline_tests.console.served_sis import Served, school_in, served_sis
from roster_pipeline_tests.directory.builders import every
from roster_pipeline_tests.district import EVERYTHING, run_sync

WHY = ("--reason", "because", "--who", "Ada")


@pytest.fixture
def sis() -> Iterator[Served]:
    with served_sis() as served:
        yield served


@pytest.fixture
def pupil(roster: Roster, database: Database, sis: Served, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Number and record of a pupil of a school whose first sync is done."""
    monkeypatch.setenv(SECRET_KEY, Fernet.generate_key().decode())
    school_in(database, sis, students=EVERYTHING, teachers=EVERYTHING, first_sync="apply")
    run_sync(database, "lincoln")
    query = "select person_id, sourced_id from link join membership using (person_id) where role = 'student' limit 1"
    (found,) = every(database, query)
    return int(found[0]), str(found[1])


def test_what_the_sis_says_of_one_person_is_shown_and_then_applied(
    roster: Roster, sis: Served, pupil: tuple[int, str]
) -> None:
    person, record = pupil
    sis.people.edit(record, given_name="Augusta")
    asked = ("person", "sync", person, "--school", "lincoln")
    shown = roster(*asked)
    assert shown.code == 0, shown.err
    assert "Augusta" in shown.out
    assert "Nothing was changed" in shown.err
    assert roster("person", "show", person, "--json").data["fields"]["given_name"] != "Augusta"
    assert roster(*asked, "--apply").code != 0, "it needs a reason"
    done = roster(*asked, "--apply", "--json", *WHY)
    assert (done.data["outcome"], done.data["said"]) == ("applied", {record: "found"})
    assert roster("person", "show", person, "--json").data["fields"]["given_name"] == "Augusta"
    assert "Nothing had to change" in roster(*asked, "--apply", *WHY).err
    unknown = roster("person", "sync", 999, "--school", "lincoln")
    assert unknown.code != 0
    assert "There is no person 999" in unknown.err
