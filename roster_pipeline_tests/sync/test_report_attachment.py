"""The CSV attachment of a report: ids or initials, names of fields, never a value."""

import csv
import io
from dataclasses import replace

import pytest

from roster_pipeline.directory.plan_rows import RowDetail
from roster_pipeline.sync.outbox_sender import details_csv, masked

ROW = RowDetail(
    row=3,
    action="update",
    role="student",
    person_id=17,
    sourced_ids=["stu-1", "stu-2"],
    matched_by="link",
    reason="changed",
    notes=None,
    fields=["email", "grade"],
    given_name="Ada",
    family_name="Lovelace",
    secrets=["ada@school.example", "ada.l", "10422"],
    result="done",
)


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_line_tells_what_was_done_to_whom_and_why_without_a_value() -> None:
    (line,) = lines(details_csv([ROW], "ids"))
    assert line == {
        "row": "3",
        "action": "update",
        "result": "done",
        "role": "student",
        "person": "17",
        "sourcedIds": "stu-1 stu-2",
        "matched by": "link",
        "reason": "changed",
        "why": "The SIS has other values.",
        "fields": "email grade",
    }


def test_masked_names_are_one_more_column() -> None:
    (line,) = lines(details_csv([ROW], "masked"))
    assert line["name"] == "A. L."
    assert lines(details_csv([replace(ROW, given_name=None, family_name=None)], "masked"))[0]["name"] == ""


@pytest.mark.parametrize(
    ("given", "family", "shown"),
    [
        ("Ada", "Lovelace", "A. L."),
        ("Anna-Maria", "von Trapp", "A. V."),
        ("élodie", "Ørsted", "É. Ø."),
        ("小明", "王", "小. *"),
        ("=cmd()", "'\"%s", "C. *"),
        ("", "Bo", "B."),
        ("—", None, "*"),
    ],
)
def test_a_masked_name_is_never_the_whole_one(given: str | None, family: str | None, shown: str) -> None:
    assert masked(given, family) == shown


@pytest.mark.parametrize(
    ("sourced_id", "shown"),
    [
        ("stu-1", "stu-1"),
        ("10422", "*"),
        ("SIS-10422", "*"),
        ("ada@school.example", "*"),
        ("someone@else.example", "*"),
        ("ADA.L", "*"),
        ("lovelace_1815", "*"),
    ],
)
def test_a_sourced_id_that_tells_who_somebody_is_is_left_out(sourced_id: str, shown: str) -> None:
    (line,) = lines(details_csv([replace(ROW, sourced_ids=[sourced_id])], "ids"))
    assert line["sourcedIds"] == shown


def test_a_sourced_id_is_not_a_formula() -> None:
    assert "'=HYPERLINK" in details_csv([replace(ROW, sourced_ids=['=HYPERLINK("x")'])], "ids")
