"""Districts, connections and schools from the command line: right values are stored, wrong ones are refused."""

from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.cli.setting_options import SCHOOL_OPTIONS
from roster_pipeline.directory.approvals import NotOverridable
from roster_pipeline.services import decisions
from roster_pipeline.settings.fields import CONNECTION, GUARDS, PAIRS
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline_tests.cli.conftest import Roster

BY_PAIRS = {"role_map", "guards", "quality"}

SCHOOL_CHOICES: list[tuple[tuple[str, ...], tuple[str, ...], Any]] = [
    (("--students",), ("students", "rostered"), True),
    (("--students", "--students-auto-update", "--students-archive"), ("students", "archive"), True),
    (("--teachers-auto-update",), ("teachers", "auto_update"), True),
    (("--staff", "--staff-archive"), ("staff", "archive"), True),
    (("--admins", "--no-admins-archive"), ("admins", "rostered"), True),
    (("--contacts",), ("primary_contacts",), True),
    (("--preferred-names",), ("preferred_names",), True),
    (
        ("--report-to", "a@example.org", "--report-to", "b@example.org"),
        ("report_to",),
        ["a@example.org", "b@example.org"],
    ),
    (("--report-when", "problems"), ("report_when",), "problems"),
    (("--report-attachment", "ids"), ("report_attachment",), "ids"),
    (("--automatic",), ("automatic",), True),
    (("--sync-time", "18:15"), ("sync_time",), "18:15:00"),
    (("--time-zone", "Europe/Berlin"), ("time_zone",), "Europe/Berlin"),
    (("--time-zone", "america/new york"), ("time_zone",), "America/New_York"),
    (("--phone-region", "DE"), ("phone_region",), "DE"),
    (("--first-sync", "apply"), ("first_sync",), "apply"),
    (("--restore-archived-by-hand",), ("restore_archived_by_hand",), True),
    (("--map", "ext:officeStaff=staff"), ("role_map",), {"ext:officeStaff": "staff"}),
    (("--guard", "archive_share=0.2"), ("guards", "archive_share"), 0.2),
    (("--guard", "grace_syncs=3"), ("guards", "grace_syncs"), 3),
    (
        ("--blackout", "2027-06-20:2027-08-10"),
        ("guards", "windows"),
        [{"first": "2027-06-20", "last": "2027-08-10", "kind": "blackout"}],
    ),
    (
        ("--no-windows", "--add-only", "2027-08-11:2027-08-31"),
        ("guards", "windows"),
        [{"first": "2027-08-11", "last": "2027-08-31", "kind": "add_only"}],
    ),
    (("--school-id", "sch-9"), ("school_id",), "sch-9"),
]

WRONG = [
    (("--report-to", "nobody"), "e-mail address"),
    (("--time-zone", "Mars/Olympus"), "not a time zone"),
    (("--sync-time", "25:99"), "sync_time"),
    (("--guard", "archive_share=2"), "guards.archive_share"),
    (("--guard", "nonsense=1"), "no guard nonsense"),
    (("--guard", "archive_share"), "NAME=VALUE"),
    (("--blackout", "2027-06-20"), "two dates"),
    (("--blackout", "2027-06-20:2027-06-01"), "ends before it begins"),
    (("--quality", "nonsense=off"), "no quality rule nonsense"),
    (("--quality", "email_valid=2"), "quality.email_valid"),
    (("--map", "ext:x=wizard"), "role_map"),
    (("--unmap", "ext:x"), "not mapped"),
    (("--first-sync", "perhaps"), "first_sync"),
    (("--time-zone", ""), "time_zone: this value is needed"),
]


def test_every_setting_of_a_school_can_be_chosen() -> None:
    names = [option.name.split(".") for option in SCHOOL_OPTIONS if option not in PAIRS]
    assert {name[0] for name in names} | BY_PAIRS == set(SchoolSettings.model_fields)
    for role in ("students", "teachers", "staff", "admins"):
        assert {name[1] for name in names if name[0] == role} == {"rostered", "auto_update", "archive"}


def test_every_setting_of_a_connection_can_be_chosen() -> None:
    assert {option.name for option in CONNECTION} == set(ConnectionSettings.model_fields)


@pytest.mark.parametrize(("arguments", "path", "expected"), SCHOOL_CHOICES)
def test_a_chosen_setting_is_kept(
    shared_school: Roster, arguments: tuple[str, ...], path: tuple[str, ...], expected: Any
) -> None:
    assert shared_school("school", "set", "oak", *arguments).code == 0
    found = shared_school("school", "show", "oak", "--json").data["settings"]
    for step in path:
        found = found[step]
    assert found == expected


def test_what_is_not_given_stays(shared_school: Roster) -> None:
    shared_school("school", "set", "oak", "--students", "--guard", "archive_share=0.3", "--report-to", "a@example.org")
    shared_school("school", "set", "oak", "--teachers")
    settings = shared_school("school", "show", "oak", "--json").data["settings"]
    assert settings["students"]["rostered"]
    assert settings["guards"]["archive_share"] == 0.3
    assert settings["report_to"] == ["a@example.org"]


def test_a_school_id_is_one_schools(school: Roster) -> None:
    taken = school("school", "show", "oak", "--json").data["settings"]["school_id"]
    add = ("school", "add", "elm", "--connection", "sis", "--name", "Elm", "--school-id")
    answer = school(*add, taken)
    assert answer.code == 1
    assert "the School ID of Oak" in answer.err
    assert school(*add, f"{taken}-2").code == 0
    assert "the School ID of Oak" in school("school", "set", "elm", "--school-id", taken).err


def test_a_connection_without_schools_is_removed(school: Roster) -> None:
    where = ("--district", "spring", "--url", "https://x.example.org", "--client-secret-env", "X")
    assert school("connection", "add", "typo", *where).code == 0
    assert "sis was used by a school, so it stays." in school("connection", "remove", "sis").err
    assert "Connection typo removed." in school("connection", "remove", "typo").err
    assert [one["key"] for one in school("connection", "list", "--json").data] == ["sis"]


def test_settings_go_back(school: Roster) -> None:
    school("school", "set", "oak", "--students", "--guard", "archive_share=0.3", "--blackout", "2027-06-20:2027-08-10")
    school("school", "set", "oak", "--quality", "email_valid=off", "--report-to", "a@example.org")
    school("school", "set", "oak", "--no-students", "--guard", "archive_share=default", "--no-windows")
    school("school", "set", "oak", "--quality", "email_valid=default", "--report-to", "")
    settings = school("school", "show", "oak", "--json").data["settings"]
    assert settings == SchoolSettings(school_id="sch-1").model_dump(mode="json")


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_a_wrong_setting_is_refused_and_changes_nothing(
    shared_school: Roster, arguments: tuple[str, ...], message: str
) -> None:
    before = shared_school("school", "show", "oak", "--json").data
    answer = shared_school("school", "set", "oak", *arguments)
    assert answer.code == 2
    assert message in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert shared_school("school", "show", "oak", "--json").data == before


def test_the_guards_of_the_help_are_those_of_the_settings(shared_school: Roster) -> None:
    shown = shared_school("school", "show", "oak").out
    for name in (guard.name for guard in GUARDS):
        assert f"guard {name}" in shown


def test_unknown_and_taken_keys_come_with_the_remedy(shared_school: Roster) -> None:
    unknown = shared_school("school", "show", "elm")
    assert (unknown.code, unknown.out) == (1, "")
    assert "no school elm" in unknown.err
    assert "roster school list" in unknown.err
    taken = shared_school("school", "add", "oak", "--connection", "sis", "--school-id", "1", "--name", "Oak")
    assert taken.code == 1
    assert "already a school oak" in taken.err
    assert "roster school set oak" in taken.err
    district = shared_school("district", "list", "--json").data[0]["key"]
    taken = shared_school("district", "add", district, "--name", "Again")
    assert (taken.code, taken.err.splitlines()) == (
        1,
        [f"There is already a district {district}.", "Choose another key."],
    )


def test_an_unknown_key_is_answered_with_the_keys_most_like_it(shared_school: Roster) -> None:
    for arguments, message in (
        (("school", "show", "oka"), "There is no school oka. Do you mean oak?"),
        (("connection", "show", "SIS"), "There is no connection SIS. Do you mean sis?"),
        (("district", "set", "sprint"), "There is no district sprint. Do you mean spring?"),
    ):
        answer = shared_school(*arguments)
        assert (answer.code, answer.err.splitlines()[0]) == (1, message)
    assert "Do you mean" not in shared_school("school", "show", "xyzzy").err


def test_the_remedy_of_an_error_names_the_school_of_the_command(
    shared_school: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise NotOverridable(17, "oak")

    monkeypatch.setattr(decisions, "approve", refused)
    answer = shared_school("hold", "approve", "oak", "--plan", 17, "--reason", "why")
    assert answer.code == 1
    assert "roster sync oak" in answer.err
    assert "SCHOOL" not in answer.err


def test_a_key_that_cannot_name_a_partition_is_wrong_usage(shared_school: Roster) -> None:
    for key in ("Spring Hill", "spring\n"):
        assert shared_school("district", "add", key, "--name", "x").code == 2, key


def test_changes_of_settings_stand_in_the_audit_by_name_and_without_values(school: Roster) -> None:
    school("school", "set", "oak", "--students", "--report-to", "a@example.org", "--who", "Ada")
    newest = school("audit", "--json", "--school", "oak").data[0]
    assert newest["who"] == "Ada"
    assert newest["details"]["changed"] == ["report_to", "students.rostered"]


def test_lists_show_what_was_added(shared_school: Roster) -> None:
    assert [row["key"] for row in shared_school("district", "list", "--json").data] == ["spring"]
    assert [row["key"] for row in shared_school("connection", "list", "--json").data] == ["sis"]
    assert [row["key"] for row in shared_school("school", "list", "--json", "--district", "spring").data] == ["oak"]
    for kind in ("district", "connection", "school"):
        assert shared_school(kind, "list").code == 0


def test_the_connection_ranking_of_a_district_names_its_connections_and_stands_in_the_audit(school: Roster) -> None:
    def ranking() -> Any:
        return school("district", "list", "--json").data[0]["settings"]["connection_ranking"]

    done = school("district", "set", "spring", "--connection-ranking", "sis", "--who", "Ada")
    assert (done.code, ranking()) == (0, ["sis"]), done.err
    newest = school("audit", "--json").data[0]
    assert (newest["who"], newest["what"]) == ("Ada", "district changed")
    assert newest["details"] == {"changed": ["connection_ranking"]}
    refused = school("district", "set", "spring", "--connection-ranking", "sis,other")
    assert (refused.code, ranking()) == (1, ["sis"])
    assert "The district spring has no connection other" in refused.err
    assert school("district", "set", "spring", "--connection-ranking", "").code == 0
    assert ranking() == []


def test_new_schools_of_a_district_begin_with_its_defaults(school: Roster, tmp_path: Path) -> None:
    def defaults(*words: str) -> Any:
        answer = school("district", "defaults", "spring", *words, "--json", "--who", "Ada")
        assert answer.code == 0, answer.err
        return answer.data

    def settings(key: str) -> Any:
        return school("school", "show", key, "--json").data["settings"]

    assert defaults() is None
    report = ("--report-to", "head@oak.example", "--automatic")
    assert school("school", "set", "oak", "--students", "--guard", "archive_share=0.3", *report).code == 0
    taken = defaults("--from", "oak")
    assert (taken["students"]["rostered"], taken["guards"]["archive_share"]) == (True, 0.3)
    assert not taken.keys() & {"report_to", "automatic", "school_id"}
    newest = school("audit", "--json").data[0]
    assert (newest["who"], newest["what"]) == ("Ada", "district changed")
    assert newest["details"] == {"changed": ["school_defaults"]}
    defaults("--time-zone", "America/Chicago", "--guard", "archive_share=default")
    assert "America/Chicago" in school("district", "defaults", "spring").out
    add = ("--connection", "sis", "--teachers")
    assert school("school", "add", "elm", *add, "--name", "Elm", "--school-id", "e", "--time-zone", "UTC").code == 0
    file = tmp_path / "schools.csv"
    file.write_text("school,name,school-id,students\nfir,Fir,f,no\n")
    assert school("school", "add", "--file", file, *add).code == 0
    elm, fir = settings("elm"), settings("fir")
    assert [one["students"]["rostered"] for one in (elm, fir)] == [True, False]
    assert [one["teachers"]["rostered"] for one in (elm, fir)] == [True, True]
    assert [one["time_zone"] for one in (elm, fir)] == ["UTC", "America/Chicago"]
    assert (elm["automatic"], elm["report_to"], elm["guards"]["archive_share"]) == (False, [], 0.1)
    assert school("district", "defaults", "spring", "--standard", "--students").code == 2
    assert school("district", "defaults", "spring", "--from", "nowhere").code == 1
    assert defaults("--standard") is None
    assert settings("elm") == elm, "schools that are there stay as they are"


def test_who_may_change_a_connection_is_chosen_and_a_school_by_default(school: Roster) -> None:
    assert school("connection", "show", "sis", "--json").data["settings"]["controlled_by"] == "school"
    assert school("connection", "set", "sis", "--controlled-by", "district").code == 0
    assert school("connection", "show", "sis", "--json").data["settings"]["controlled_by"] == "district"
    assert school("connection", "set", "sis", "--controlled-by", "nobody").code == 2
    of = ("--district", "spring", "--url", "https://sis2.example.org", "--client-secret-env", "NOWHERE")
    assert "--controlled-by district" in school("connection", "add", "two", *of).err
    trusted = school("connection", "add", "three", *of, "--controlled-by", "district")
    assert (trusted.code, "--controlled-by district" in trusted.err) == (0, False)
