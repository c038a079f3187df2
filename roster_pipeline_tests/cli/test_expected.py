"""Announcements on the command line: people added by hand, pauses, limits, leavers, rows left out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.vocabulary import day
from roster_pipeline_tests.cli.conftest import Roster
from roster_pipeline_tests.console.held_plans import held_creates
from roster_pipeline_tests.directory.builders import every, one

WHY = ("--reason", "because", "--who", "Ada")
NEXT_WEEK = datetime.now(UTC).date() + timedelta(days=7)
ADD = ("person", "add", "--school", "oak", "--role", "teacher", "--set", "given_name=Ada", "--set", "family_name=Byron")
LEAVERS = ("leavers", "add", "oak", "ada@example.org", "nobody@example.org", "--day", NEXT_WEEK)


def test_announcements_are_kept_with_person_and_reason(school: Roster, database: Database) -> None:
    plan = held_creates(database, database.call(tenants.get_school, "oak"), night=False)
    raised = ("guard", "raise", "oak", "archive_share", "0.9", "--until", NEXT_WEEK, *WHY)
    left_out = ("hold", "exempt", "oak", "--plan", plan, "--row", "0", "--row", "1", *WHY)
    leave = f"oak: 1 person is announced as leaving on {day(NEXT_WEEK)}.\nNobody in this school has: nobody@example.org"
    ended = "oak: 1 announcement was taken back."
    for words, said, what in (
        ((*ADD, "--set", "email=Ada@Example.org", *WHY), "Person 1 is entered in oak.", "person added"),
        (("pause", "oak", "--until", NEXT_WEEK, *WHY), f"oak is paused until {day(NEXT_WEEK)}.", "school paused"),
        (("pause", "--district", "spring", "--until", NEXT_WEEK, *WHY), "spring is paused until", "district paused"),
        (raised, f"oak: archive_share is 0.9 until {day(NEXT_WEEK)}, this day included.", "limit raised"),
        (
            ("guard", "lower", "oak", *WHY[2:]),
            "oak: 1 raised limit is ended. The limits of the settings count again.",
            "raised limits ended",
        ),
        ((*LEAVERS, *WHY), leave, "leavers announced"),
        (("leavers", "remove", "oak", "--person", "1", *WHY[2:]), ended, "leavers withdrawn"),
        ((*LEAVERS, *WHY), leave, "leavers announced"),
        (("leavers", "remove", "oak", "--all", *WHY[2:]), ended, "leavers withdrawn"),
        (left_out, f"oak: 2 rows are left out, in plan {plan} and in later ones.", "rows exempted"),
        (
            ("hold", "exempt", "oak", "--take-back", *WHY),
            "oak: 2 changes are planned again by the next sync.",
            "exemptions taken back",
        ),
    ):
        answer = school(*words)
        assert (answer.code, said in answer.err) == (0, True), answer.err
        reason = "because" if "--reason" in words else None
        assert every(database, "select who, what, reason from audit order by id desc limit 1") == [
            ("Ada", what, reason)
        ]
    assert one(database, "select email || status from person p join membership m on m.person_id = p.id") == (
        "ada@example.orgactive"
    )
    assert one(database, "select paused_until from school") == NEXT_WEEK


def test_leavers_are_listed(school: Roster) -> None:
    assert school(*ADD, "--set", "email=ada@example.org", *WHY).code == 0
    assert school(*LEAVERS, *WHY).code == 0
    assert "Ada Byron" in school("leavers", "list", "oak").out
    (listed,) = school("leavers", "list", "oak", "--json").data
    assert (listed["person_id"], listed["day"], listed["who"]) == (1, NEXT_WEEK.isoformat(), "Ada")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*ADD, "--role", "king", *WHY), 1, "A person needs a role."),
        ((*ADD, "--set", "email=nobody", *WHY), 1, "e-mail"),
        (ADD, 2, "--reason"),
        (("pause", "--until", NEXT_WEEK, *WHY), 2, "give a school, or --district"),
        (("pause", "oak", "--until", "2020-01-01", *WHY), 1, "Give a day after today"),
        (("pause", "oak", "--until", NEXT_WEEK), 2, "--reason"),
        (("guard", "raise", "oak", "archive_share", "0.9", "--until", "2020-01-01", *WHY), 1, "Give a day from today"),
        (("guard", "raise", "oak", "archive_share", "0.0001", "--until", NEXT_WEEK, *WHY), 1, "Give a higher one."),
        (("guard", "raise", "oak", "shoe_size", "43", "--until", NEXT_WEEK, *WHY), 1, "cannot be raised for a time"),
        (("guard", "lower", "nowhere"), 1, "nowhere"),
        (("leavers", "add", "oak", "4711", "--day", "soon", *WHY), 2, "'--day': write a day as YYYY-MM-DD"),
        (("leavers", "add", "oak", "4711", "--day", NEXT_WEEK, *WHY), 1, "Nobody in this school has: 4711"),
        (("person", "show", "ada"), 2, "'PERSON': write a whole number"),
        (("history", "oak", "--limit", "0"), 2, "'--limit': write a number of at least 1"),
        (("school", "set", "oak", "--guard", "archive_share=lots"), 2, "guards.archive_share: write a number"),
        (
            ("school", "set", "oak", "--guard", "archive_share=7"),
            2,
            "guards.archive_share: write a number of at most 1",
        ),
        (("plan", "show", "oak", "--plan", "9" * 20), 1, "There is nothing with such a large number."),
        (("connection", "set", "sis", "--url", "https://me:pass@sis.example.org"), 1, "Remove user name and password"),
        (("people", "oak", "--search", "M\udcfcller"), 2, "the command is not in UTF-8; set the terminal to UTF-8"),
        (("plan", "show", "oak", "--action", "leave"), 2, "--action: one of create, update,"),
        (
            ("leavers", "add", "oak", "--file", "/nowhere/a.csv", "--day", NEXT_WEEK, *WHY),
            1,
            "/nowhere/a.csv cannot be used",
        ),
        (("web", "--port", "99999"), 2, "'--port': write a number"),
        (("console", "--port", "0"), 2, "'--port': write a number"),
        (("dev", "--simulator-port", "70000"), 2, "'--simulator-port': write a number"),
        (("rollback", "9" * 20, "--preview"), 1, "Check the number that you typed."),
        (("leavers", "remove", "oak"), 2, "give --person, or --all"),
        (("hold", "exempt", "oak", "--plan", "1", *WHY), 2, "at least one --row"),
        (("hold", "exempt", "oak", "--plan", "999", "--row", "0", *WHY), 1, "999"),
    ],
)
def test_what_is_wrong_changes_nothing_and_says_why(
    shared_school: Roster, words: tuple[object, ...], code: int, said: str
) -> None:
    before = shared_school("audit", "--json").data
    answer = shared_school(*words)
    assert (answer.code, said in " ".join(answer.err.replace("│", " ").split())) == (code, True), answer.err
    assert "Traceback" not in answer.err
    assert shared_school("audit", "--json").data == before


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_file_of_leavers_in_another_encoding_is_refused(shared_school: Roster, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "leavers.csv"
    file.write_text("M\u00fcller\n4711\n", encoding)
    answer = shared_school("leavers", "add", "oak", "--file", file, "--day", NEXT_WEEK, *WHY)
    assert (answer.code, answer.err.splitlines()[1:]) == (2, ["Save it as CSV UTF-8."])
