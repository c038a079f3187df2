"""Edits by hand: people changed with a reason, syncs undone."""

from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.directory import ledger, manual_edits, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.cli.conftest import Roster

WHY = ("--reason", "because", "--who", "Ada")


@pytest.fixture
def ada(school: Roster, database: Database) -> int:
    """A person entered by hand into the school `oak`."""
    with database.begin() as conn:
        fields = {"given_name": "Ada", "family_name": "Byron", "email": "ada@example.org", "role": "teacher"}
        return manual_edits.add(conn, tenants.get_school(conn, "oak"), fields, who="test", reason="test")


def shown(roster: Roster, number: int) -> Any:
    return roster("person", "show", number, "--json").data


def test_each_change_by_hand_is_done_and_audited_with_its_reason(school: Roster, ada: int) -> None:
    def do(*words: object) -> None:
        answer = school("person", words[0], ada, *words[1:], *WHY)
        assert answer.code == 0, answer.err
        newest = school("audit", "--person", ada, "--json").data[0]
        assert (newest["who"], newest["reason"]) == ("Ada", "because")

    do("link", "u-1", "--connection", "sis")
    assert [link["sourced_id"] for link in shown(school, ada)["links"]] == ["u-1"]
    do("unlink", "u-1", "--connection", "sis")
    assert shown(school, ada)["links"] == []
    assert [(each["connection"], each["sourced_id"]) for each in shown(school, ada)["exclusions"]] == [("sis", "u-1")]
    do("link", "u-1", "--connection", "sis")
    assert shown(school, ada)["exclusions"] == []
    do("primary-record", "u-1", "--connection", "sis")
    assert [(link["is_primary"], link["primary_by_hand"]) for link in shown(school, ada)["links"]] == [(True, True)]
    do("unlink", "u-1", "--connection", "sis")
    assert "Records that are not this person" in school("person", "show", ada).out
    assert school("school", "set", "oak", "--time-zone", "Asia/Kolkata").code == 0
    assert school("person", "show", ada, "--history").out.count(" IST") > 5, "every time is of the school's zone"
    assert " UTC" not in school("person", "show", ada, "--history").out
    do("exclude")
    assert shown(school, ada)["excluded"]
    do("include")
    assert not shown(school, ada)["excluded"]
    do("lock", "email")
    assert shown(school, ada)["locked_fields"] == ["email"]
    do("unlock", "email")
    assert shown(school, ada)["locked_fields"] == []
    do("edit", "--set", "given_name=Augusta", "--set", "phone=", "--set", "enabled=no")
    fields = shown(school, ada)["fields"]
    assert (fields["given_name"], fields["phone"], fields["enabled"]) == ("Augusta", None, False)
    assert shown(school, ada)["locked_fields"] == ["enabled", "given_name", "phone"]
    edit = school("person", "show", ada, "--history", "--json").data["edits"][0]
    assert (edit["what"], edit["who"], edit["undo"]) == ("person edited", "Ada", "possible")
    do("undo", edit["edit"])
    assert shown(school, ada)["fields"]["given_name"] == "Ada"
    assert "undone already" in school("person", "show", ada, "--history").out
    again = school("person", "undo", ada, edit["edit"], *WHY)
    assert (again.code, "undone already" in again.err) == (1, True)
    do("archive", "--school", "oak")
    assert shown(school, ada)["memberships"][0]["status"] == "archived"
    do("restore", "--school", "oak")
    assert shown(school, ada)["memberships"][0]["status"] == "active"


WRONG: list[tuple[tuple[str, ...], int]] = [
    (("exclude", "1"), 2),
    (("exclude", "1", "--reason", " "), 2),
    (("edit", "1", "--set", "given_name", *WHY), 2),
    (("edit", "1", "--set", "shoe_size=43", *WHY), 1),
    (("edit", "1", "--set", "email=ada at example", *WHY), 1),
    (("edit", "1", "--set", "phone=555-0142", *WHY), 1),
    (("edit", "1", "--set", "family_name=n/a", *WHY), 1),
    (("edit", "1", "--set", f"family_name={'x' * 201}", *WHY), 1),
    (("lock", "1", "shoe_size", *WHY), 1),
    (("exclude", "999999", *WHY), 1),
    (("archive", "999999", "--school", "oak", *WHY), 1),
    (("erase", "1", *WHY), 1),
    (("primary-record", "1", "u-1", "--connection", "sis", *WHY), 1),
    (("home", "1", "u-1", "--connection", "sis", *WHY), 2),
]
"""Words of a command and its exit code; 1 stands for Ada's number."""


def test_what_is_wrong_or_without_a_reason_changes_nobody(school: Roster, ada: int) -> None:
    before = shown(school, ada)
    for (command, number, *rest), code in WRONG:
        answer = school("person", command, ada if number == "1" else number, *rest)
        assert answer.code == code, answer.err
        assert "Traceback" not in answer.err
    refused = school("person", "archive", ada, "--school", "oak", "--district", "elsewhere", *WHY)
    assert refused.code != 0
    assert "oak" in refused.err
    assert shown(school, ada) == before
    assert before["memberships"][0]["status"] == "active"


def test_what_is_typed_in_is_stored_in_the_one_spelling_that_applications_read(school: Roster, ada: int) -> None:
    typed = {
        "email": " Ada@Example.ORG",
        "phone": "+1 (312) 555-0142",
        "given_name": "Jose\u0301\u200b  Mari\u0301a",
        "username": " ADA ",
        "number": "007",
    }
    words = [word for name, value in typed.items() for word in ("--set", f"{name}={value}")]
    assert school("person", "edit", ada, *words, *WHY).code == 0
    fields = shown(school, ada)["fields"]
    assert {name: fields[name] for name in typed} == {
        "email": "ada@example.org",
        "phone": "+13125550142",
        "given_name": "José María",
        "username": "ADA",
        "number": "007",
    }


def test_a_person_is_found_and_shown_with_their_history_until_they_are_erased(school: Roster, ada: int) -> None:
    for words, found in {"byron ada": 1, "ADA@example": 1, "ada hopper": 0, "%": 0, "": 1}.items():
        assert len(school("people", "oak", "--search", words, "--json").data) == found, words
    assert "given_name: Ada" in school("person", "show", ada, "--history").out
    assert school("person", "erase", ada, *WHY, "--yes").code == 0
    assert school("person", "show", ada).code == 1


def test_a_rollback_needs_a_sync_a_reason_and_a_yes(school: Roster, database: Database) -> None:
    assert school("rollback", 1, "--only", "created", "--preview").code == 2
    assert school("rollback", 1).code == 2
    unknown = school("rollback", 1, *WHY, "--yes")
    assert unknown.code == 1
    assert "no sync 1" in unknown.err
    assert database.call(ledger.history) == []


def test_nobody_is_added_twice_unless_somebody_says_so(school: Roster, database: Database, ada: int) -> None:
    add = ("person", "add", "--school", "oak", "--role", "teacher", *WHY)
    same = school(*add, "--set", "given_name=Ada", "--set", "family_name=Byron", "--set", "email=ada@example.org")
    assert same.code == 1
    assert f"Here: person {ada}." in same.err
    assert "Byron" not in same.err
    assert "ada@" not in same.err
    named = (*add, "--set", "given_name=Ada", "--set", "family_name=Byron")
    unsure = school(*named)
    assert unsure.code == 1
    assert "--somebody-else" in unsure.err
    assert school(*named, "--somebody-else").code == 0
    assert len(school("person", "find", "ada byron", "--json").data) == 2


def test_two_people_are_found_merged_and_made_two_again(school: Roster, database: Database, ada: int) -> None:
    with database.begin() as conn:
        fields = {"given_name": "Ada", "family_name": "Byron", "email": "ada@example.org", "role": "teacher"}
        again = manual_edits.add(conn, tenants.get_school(conn, "oak"), fields, who="test", reason="test")
    (pair,) = school("person", "duplicates", "--school", "oak", "--json").data
    assert (pair["person"], pair["other"], pair["differ"]) == (ada, again, [])
    assert "1 pair" in school("person", "duplicates").err
    assert school("person", "merge", ada, again, *WHY).code == 0
    assert f"person of person {again}" in " ".join(school("person", "show", ada, "--history").out.split())
    answer = school("person", "show", again)
    assert answer.code != 0
    assert f"merged into person {ada}" in answer.err
    assert school("person", "unmerge", ada, *WHY).code == 0
    assert school("person", "distinct", ada, again, *WHY).code == 0
    assert school("person", "duplicates", "--json").data == []
    assert len(school("person", "duplicates", "--distinct", "--json").data) == 1
    refused = school("person", "merge", ada, again, *WHY)
    assert refused.code != 0
    assert "two people" in refused.err
    assert school("person", "distinct", ada, again, "--undo", *WHY).code == 0
    assert len(school("person", "duplicates", "--json").data) == 1


def test_a_list_is_previewed_and_entered(school: Roster, database: Database, ada: int, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("First name,Last name,Mail,Shoe size\nAda,Byron,ada@example.org,42\nBo,Poe,bo@example.org,41\n")
    asked = ("person", "import", file, "--school", "oak", "--role", "teacher")
    answer = school(*asked, "--json")
    assert [row["what"] for row in answer.data["rows"]] == ["nothing", "create"]
    assert answer.data["columns_left_out"] == ["Shoe size"]
    assert "Nothing was changed" in school(*asked).err
    assert school(*asked, "--apply").code != 0, "it needs a reason"
    done = school(*asked, "--apply", *WHY)
    assert done.code == 0, done.err
    assert [row["given_name"] for row in school("people", "oak", "--json").data] == ["Ada", "Bo"]
    (sync,) = [each["id"] for each in school("history", "oak", "--json").data if each["kind"] == "upload"]
    assert school("rollback", sync, "--yes", *WHY).code == 0
    assert [row["given_name"] for row in school("people", "oak", "--json").data] == ["Ada"]
    file.write_text("First name,Last name\nAda,Byron\nAda,Byron\n")
    looked = school(*asked, "--json").data
    assert [row["what"] for row in looked["rows"]] == ["look", "look"]
    decided = (*asked, "--decide", f"2={ada}", "--decide", "3=new", "--hash")
    assert "not the file" in school(*decided, "0" * 64, "--apply", *WHY).err
    done = school(*decided, looked["hash"], "--apply", "--json", *WHY)
    assert [row["what"] for row in done.data["rows"]] == ["nothing", "create"], done.err
    assert len(school("people", "oak", "--json").data) == 2
    file.write_text("Vorname\nAda\n")
    assert "No column has a given name" in school(*asked).err
    assert "no such file" in school("person", "import", tmp_path / "x.csv", "--school", "oak").err
