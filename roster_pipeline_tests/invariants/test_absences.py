"""Random nights of students who go missing in every way of a SIS, over REST and as CSV bundles.

Over REST the SIS is asked for each missing student, and answers clearly, unclearly or not at all. As CSV, bundles are
old, older than the one before, dated in the future, or one of an earlier day again.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from starlette.responses import JSONResponse, Response

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.absence_model import AbsenceModel, Answer, Bundle, Listed, Student
from roster_pipeline_tests.invariants.histories import assert_happened, histories, run_histories
from roster_pipeline_tests.sources.conftest import Kind, Record, School, Source, person, served, teacher

EXAMPLES = histories(2, 60)
DAYS = 16
STUDENTS, MOST_MISSING = 24, 8
"""So few are missing that the whole snapshot looks as usual."""
PAGE = 7
"""Students who go missing together."""
SLASHES = 3
"""Students with a slash in their id."""
HOUR, DAY = 3600.0, 86_400.0
OPEN: dict[str, Any] = {
    **dict.fromkeys(("missing_share", "strangers_share", "shrink_share", "archive_share", "slow_loss_share"), 1.0),
    **dict.fromkeys(("create_share", "restore_share", "update_share", "update_key_share", "unknown_org_share"), 1.0),
    "rekeyed_share": 1.0,
    "contradictions": 1000,
}
"""No guards on sizes: the main proof tests them."""
ORG_OF: dict[str, str] = {"other school": "s2", "unlisted org": "s9", "district": "d1"}
REASONS = """
select r.sourced_ids[1] as who, r.reason from plan_row r join plan p on p.id = r.plan_id
where p.id = (select max(p.id) from plan p join school s on s.id = p.school_id where s.key = '{key}')
  and r.action <> 'unchanged'
"""
STATUS = """
select l.sourced_id as who, m.status from membership m join link l using (person_id)
join school s on s.id = m.school_id where s.key = '{key}' and m.role = 'student'
"""
PASS_TIME = """
update snapshot set taken_at = taken_at - make_interval(hours => :hours)
where school_id = (select id from school where key = :key)
"""
PICK = st.integers(0, 10**4)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("missing", "missing", "page", "list", "enrollment", "answer", "back", "back")), PICK, PICK
    ),
    min_size=1,
    max_size=5,
)
BUNDLES: tuple[Bundle, ...] = ("older", "ahead", "again", "next")
COPY = "?of=copy"
"""The end of an address of another system on the same server."""
seen = Counter[str]()
_numbers = count(1)


class AbsenceSource(Source):
    """A SIS that answers for single students by `answers`, or whose bundles were written at `written`."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        super().__init__(kind, folder)
        self.answers: dict[str, Answer] = {}
        self.written = 0.0

    def write(self) -> None:
        super().write()
        for file in self._folder.iterdir() if self.kind == "csv" else ():
            os.utime(file, (self.written, self.written))

    def answer(self, path: str, query: Mapping[str, str]) -> Response:
        who = path.removeprefix("/users/")
        if who not in self.answers:
            return super().answer(path, query)
        said = self.answers[who]
        if said in ("404", "fails"):
            return Response(status_code=404 if said == "404" else 403)
        record = student_record(who, ORG_OF.get(said, "s1"))
        record |= {"sourcedId": "somebody"} if said == "another id" else {}
        record |= dict.fromkeys(("givenName", "familyName", "orgSourcedIds"), "") if said == "no name" else {}
        if said == "another's deletion":
            another = student_record(f"another-{500 + int(who.rpartition('-')[2])}", "s1")
            record = another | {"sourcedId": who}
        status = {"deleted": "tobedeleted", "another's deletion": "tobedeleted", "status": "unheard-of"}
        record |= {"status": status.get(said, "active")}
        return JSONResponse({"user": self._named(record)})


def student_record(who: str, orgs: str, **members: Any) -> Record:
    """The record of a student, whose number and names nobody else has."""
    place = int(who.rpartition("-")[2])
    return person(who, orgs, place, **{"role": "student", "grades": "09"} | members)


class Absences(RuleBasedStateMachine):
    """Nights of one school. `database` and `source` are set by the test."""

    database: Database
    source: AbsenceSource

    def __init__(self) -> None:
        super().__init__()
        self.number = str(next(_numbers))
        self.school = School(self.database, self.source, self.number)
        self.school.choose(guards=OPEN, primary_contacts=False)
        self.school.set_connection(no_enrollment_means_gone=True)
        self.model = AbsenceModel(asked=self.source.kind == "rest")
        self.ids = [f"h{self.number}{'/' if place < SLASHES else ''}-{place}" for place in range(STUDENTS)]
        self.students = {who: Student() for who in self.ids}
        self.clock = self.newest = time.time() - 6 * DAY
        self.exports = 0
        self.earlier: list[tuple[list[Record], list[Record]]] = []

    @initialize()
    def everybody_enrols(self) -> None:
        self._night("next")

    @rule(changes=CHANGES, hours=st.integers(2, 20), bundle=st.sampled_from(BUNDLES))
    def day(self, changes: list[tuple[str, int, int]], hours: int, bundle: Bundle) -> None:
        """Things happen in the SIS, then the night."""
        for what, who, other in changes:
            first = who % STUDENTS
            for one in self.ids[first : first + PAGE if what == "page" else first + 1]:
                self._happen(what, self.students[one], other)
        self.clock += hours * HOUR
        self.model.pass_time(hours)
        self.school.execute(PASS_TIME, hours=hours, key=self.school.school)
        self._night(bundle if self.source.kind == "csv" else "next")

    @rule(changes=CHANGES, hours=st.integers(12, 20))
    def good_day(self, changes: list[tuple[str, int, int]], hours: int) -> None:
        """As `day`, with a bundle as it should be."""
        self.day(changes, hours, "next")

    @precondition(lambda self: self.source.kind == "rest")
    @rule(changes=CHANGES, hours=st.integers(12, 20), ending=st.sampled_from(("", "/", COPY, f"/{COPY}")))
    def another_address(self, changes: list[tuple[str, int, int]], hours: int, ending: str) -> None:
        """As `day`, and somebody changes the address, or only its spelling."""
        self.model.address = int(COPY in ending)
        self.school.set_connection(url=self.source.url + ending)
        self.day(changes, hours, "next")

    def _happen(self, what: str, student: Student, pick: int) -> None:
        few = sum(one.listed == "missing" for one in self.students.values()) < MOST_MISSING
        if what == "back":
            student.listed, student.enrolled = "here", True
        elif what == "missing" and few:
            student.listed, student.answer = "missing", get_args(Answer)[pick % len(get_args(Answer))]
        elif what == "page" and few:
            student.listed, student.answer, student.enrolled = "missing", "404", False
        elif what == "list":
            student.listed, student.enrolled = get_args(Listed)[pick % 4], True
        elif what == "enrollment" and student.listed == "here":
            student.enrolled = not student.enrolled
        elif what == "answer":
            student.answer = get_args(Answer)[pick % len(get_args(Answer))]

    def _export(self) -> tuple[list[Record], list[Record]]:
        """Users and enrollments. Every export differs from all others in a cell that changes nobody."""
        self.exports += 1
        users = [teacher(place) for place in range(3)]
        users[0]["dateLastModified"] = f"2026-01-01T00:00:00.{self.exports:03d}Z"
        for who, student in self.students.items():
            if student.listed != "missing":
                status = "tobedeleted" if student.listed == "deleted" else "active"
                users.append(student_record(who, ORG_OF.get(student.listed, "s1"), status=status))
        running = [who for who, student in self.students.items() if student.enrolled]
        enrolled = [{"sourcedId": f"e{who}", "user": who, "role": "student", "school": "s1"} for who in running]
        return users, enrolled

    def _night(self, bundle: Bundle) -> None:
        if (bundle == "older" and not self.earlier) or (bundle == "again" and len(self.earlier) < 2):
            bundle = "next"
        users, enrolled = self.earlier[0] if bundle == "again" else self._export()
        self.source.users, self.source.enrollments = deepcopy(users), deepcopy(enrolled)
        self.clock = min(self.clock, time.time() - HOUR)
        self.source.written = {"older": self.newest - HOUR, "ahead": self.clock + 20 * DAY}.get(bundle, self.clock)
        self.source.answers = {who: one.answer for who, one in self.students.items() if one.listed == "missing"}
        days_old = (time.time() - self.source.written) / DAY if self.source.kind == "csv" else 0
        reasons = self.model.night(self.students, bundle, days_old)
        self.school.sync()
        if bundle == "next":
            self.earlier.append((users, enrolled))
            self.newest = self.clock
        self._agree(reasons)
        seen.update(reasons.values())
        answers = [self.source.answers.get(who) for who, reason in reasons.items() if reason == "not_confirmed"]
        seen.update(["another's deletion"] * ("another's deletion" in answers))
        seen.update(["cut bundle"] * self.model.is_cut(self.students))
        seen.update(["part missing"] * self.model.part_missing)
        assert ("part_missing" in self.school.guards) == self.model.part_missing
        seen.update(["never listed"] * self.model.never_listed)
        assert ("never_listed" in self.school.guards) == self.model.never_listed
        seen.update((f"{bundle} bundle", "old bundle") if days_old >= 3 else (f"{bundle} bundle",))
        if bundle in ("older", "again"):
            assert "older_source" in self.school.guards

    def _agree(self, reasons: dict[str, str]) -> None:
        """Assert that everybody has the status and the reason of the model."""
        told = {row["who"]: row["reason"] for row in self.school.rows(REASONS.format(key=self.school.school))}
        assert {who: told.get(who) for who in reasons} == reasons
        status = {row["who"]: row["status"] for row in self.school.rows(STATUS.format(key=self.school.school))}
        assert status == self.model.status


@pytest.fixture
def source(request: pytest.FixtureRequest, home: Path) -> Iterator[Source]:
    """A SIS of the kind that the test chooses."""
    yield from served(AbsenceSource(request.param, home / "exports"))


USUAL = {"joined", "left"}
RARE_REASONS = {"returned", "came_lately", "not_enrolled", "tobedeleted", "moved_school", "unknown_org"}
SELDOM = {
    "rest": {"not_answered", "not_confirmed", "another's deletion", "sis_still_answers", "never listed"},
    "csv": {"older bundle", "ahead bundle", "again bundle", "old bundle", "cut bundle", "part missing"},
}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("source", ["rest", "csv"], indirect=True)
def test_random_absences_end_as_the_rules_say(database: Database, source: AbsenceSource) -> None:
    class Here(Absences):
        pass

    Here.database, Here.source = database, source
    seen.clear()
    run_histories(Here, EXAMPLES, DAYS)
    assert_happened(seen, USUAL, RARE_REASONS | SELDOM[source.kind])
