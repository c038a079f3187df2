"""Subjects and sentences for every kind of night, and which owners get the mail."""

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import ValidationError

from roster_pipeline.notifications.content import (
    FailureAlert,
    Finding,
    Held,
    QualityCheck,
    Rejected,
    RoleCounts,
    SyncReport,
)
from roster_pipeline.notifications.outcome import outcome, subject, tone, wants
from roster_pipeline.vocabulary import CONTACT_FIELDS, PERSON_FIELDS
from roster_pipeline_tests.notifications.examples import FAILED, FIRST, GOOD, HELD, QUIET

EXAMPLES = (GOOD, QUIET, HELD, FIRST, FAILED)


def night(*roles: RoleCounts, **facts: Any) -> SyncReport:
    return replace(QUIET, roles=roles, **facts)


WRONG = (Finding("empty_role", "No student came, the directory has 300."),)
INCOMPLETE = (Finding("incomplete_snapshot", "A page never came.", overridable=False),)
SUBJECTS = [
    (night(RoleCounts("student", created=4, archived=1)), "4 created, 1 archived"),
    (night(RoleCounts("student", held=12), held=(Held("student", "archive", 12),)), "12 archivals held, please decide"),
    (
        night(RoleCounts("student", created=1, held=1), held=(Held("student", "update", 1),)),
        "1 update held, please decide; 1 created",
    ),
    (night(RoleCounts("student", held=2), held=(Held("student", "archive", 2, INCOMPLETE),)), "2 archivals held"),
    (
        night(
            RoleCounts("teacher", held=2),
            RoleCounts("student", held=3),
            held=(Held("teacher", "archive", 2), Held("student", "archive", 3)),
        ),
        "5 archivals held, please decide",
    ),
    (QUIET, "no changes"),
    (night(RoleCounts("student", conflicts=2)), "2 conflicts"),
    (night(RoleCounts("student", created=1200)), "1,200 created"),
    (night(checks=(QualityCheck("known_grades", False, 9, 9),)), "1 check failed"),
    (night(held=(Held("student", "archive", 0),)), "no changes"),
    (night(held=(Held("student", "archive", 0, WRONG),)), "the roster looks wrong"),
    (night(kind="relink", linked=40), "the ids of 40 people were linked"),
    (replace(GOOD, kind="approval"), "approved plan applied: 4 created, 11 updated, 1 restored, 1 archived"),
    (
        replace(GOOD, kind="rollback", roles=(RoleCounts("student", created=3, archived=1, skipped=2),)),
        "sync undone: 1 archival, 3 creations; 2 people changed later, so they were not touched",
    ),
    (FIRST, "first sync waits for approval (1,302 creations)"),
    (
        HELD,
        "148 archivals, 1 restoration held, please decide; 4 created, 9 updated; 1 conflict; "
        "incomplete answer from the SIS",
    ),
    (FAILED, "roster sync failed: the SIS refused the sign-in"),
]


@pytest.mark.parametrize(("mail", "said"), SUBJECTS)
def test_the_subject_says_the_outcome(mail: SyncReport | FailureAlert, said: str) -> None:
    assert subject(mail) == f"Lincoln High: {said}"


SENTENCES = [
    (GOOD, "4 created, 11 updated, 1 restored and 1 archived."),
    (QUIET, "Nothing had to change: the directory already matches the roster."),
    (
        HELD,
        "148 archivals are held until someone decides; 1 restoration is held and cannot be approved; "
        "4 created and 9 updated.",
    ),
    (
        night(RoleCounts("student", held=1), held=(Held("student", "archive", 1),)),
        "1 archival is held until someone decides; nothing else had to change.",
    ),
    (night(RoleCounts("student", skipped=30)), "Nothing was changed; 30 people were left alone."),
    (night(RoleCounts("student", conflicts=1)), "Nothing was changed; 1 person was left alone."),
    (night(held=(Held("student", "archive", 0),)), "Nothing was changed."),
    (FIRST, "The first sync of this school waits for approval: 1,302 creations."),
    (replace(QUIET, kind="rollback"), "Sync undone: nothing was changed."),
    (night(kind="relink", linked=1), "The ids of 1 person were linked; nothing else was changed."),
    (night(RoleCounts("student", archived=1), kind="rollback"), "Sync undone: 1 archival was taken back."),
    (
        night(RoleCounts("student", archived=2, skipped=1), kind="rollback"),
        "Sync undone: 2 archivals were taken back; 1 person changed later, so they were not touched.",
    ),
]


@pytest.mark.parametrize(("report", "said"), SENTENCES)
def test_the_outcome_is_one_sentence(report: SyncReport, said: str) -> None:
    assert outcome(report) == said


WANTED = [
    (QUIET, "good", False),
    (GOOD, "good", True),
    (HELD, "attention", True),
    (FIRST, "attention", True),
    (FAILED, "failed", True),
    (night(RoleCounts("student", skipped=30)), "good", False),
    (night(held=(Held("student", "archive", 0),)), "attention", True),
    (night(kind="relink", linked=2), "good", True),
    (night(checks=(QualityCheck("valid_email", False, 9, 1, "warning"),)), "good", False),
    (night(checks=(QualityCheck("known_grades", False, 9, 1),)), "attention", True),
    (night(rejected=(Rejected("users", "role", "unknown_role", 1),)), "good", True),
    (night(rejected=(Rejected("users", "email", "not_an_address", 1, "warning"),)), "good", False),
]


@pytest.mark.parametrize(("mail", "colour", "wanted"), WANTED)
def test_who_asks_for_changes_and_problems_is_spared_the_rest(
    mail: SyncReport | FailureAlert, colour: str, wanted: bool
) -> None:
    assert tone(mail) == colour
    assert wants(mail, "problems") is wanted
    assert wants(mail, "every")


def test_a_failure_without_words_still_has_a_subject() -> None:
    assert subject(replace(FAILED, message="")) == "Lincoln High: roster sync failed: no cause was given"


def test_a_very_long_school_name_leaves_room_for_the_outcome() -> None:
    line = subject(replace(GOOD, school_name="Long " * 80))
    assert line.endswith(": 4 created, 11 updated, 1 restored, 1 archived")
    assert len(line) <= 150


def test_held_rows_are_not_counted_as_done() -> None:
    counts = RoleCounts.of("student", {"create": 3, "archive": 12, "skip": 2, "unchanged": 9}, {"archive": 12})
    assert counts == RoleCounts("student", created=3, held=12, skipped=2, unchanged=9)


@pytest.mark.parametrize("mail", [mail for mail in EXAMPLES if isinstance(mail, SyncReport)])
def test_a_report_goes_to_json_and_back(mail: SyncReport) -> None:
    stored = json.loads(json.dumps(mail.as_dict()))
    assert SyncReport.from_dict(stored) == mail
    assert SyncReport.from_dict(stored | {"of_a_later_version": 1}) == mail


def test_a_wrong_report_is_refused() -> None:
    with pytest.raises(ValidationError):
        SyncReport.from_dict({"school_key": "lincoln-high"})


def test_no_report_has_a_field_for_a_person() -> None:
    personal = {*PERSON_FIELDS, *CONTACT_FIELDS, "sourced_id", "sourced_ids", "name_of_person", "recipients"}
    seen: set[type] = set()

    def look(kind: Any) -> None:
        for inner in get_args(kind):
            look(inner)
        if isinstance(kind, type) and is_dataclass(kind) and kind not in seen:
            seen.add(kind)
            assert personal.isdisjoint(field.name for field in fields(kind)), kind
            for hint in get_type_hints(kind).values():
                look(hint)

    look(SyncReport)
    look(FailureAlert)
    assert len(seen) > 8
