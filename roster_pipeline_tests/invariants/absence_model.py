"""The model of students who are missing: who is archived, and which reason the plan gives, in plain Python.

Written from docs/rules.md alone: section 4 (reasons, second witness) and the age of the source in section 5; and from
docs/csv.md: when a bundle is complete. Each student has one record, so matching is not tested here.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Listed = Literal["here", "other school", "unlisted org", "deleted", "missing"]
"""The record of a student in the list; `missing` if there is none."""
Answer = Literal[
    "404", "deleted", "other school", "here", "unlisted org", "district", "another id", "no name", "status", "fails",
    "another's deletion"
]  # fmt: skip
"""The answers of the SIS about one missing student."""
CONFIRMS: tuple[Answer, ...] = ("404", "deleted", "other school")
UNCLEAR: tuple[Answer, ...] = ("unlisted org", "district", "another id", "no name", "status", "another's deletion")
Bundle = Literal["next", "older", "ahead", "again"]
"""A CSV bundle: written after the one before, written before it, dated in the future, or one of an earlier day."""
OLD_DAYS = 3
"""A bundle that is this many days old proves nobody's absence."""
LATELY = 36
"""A list of the day before may lack people who came in these last hours."""
ORGS = {"here": "s1", "deleted": "s1", "other school": "s2", "unlisted org": "s9"}
ARCHIVES = ("left", "tobedeleted", "moved_school", "not_enrolled")
MOST_LOST = 5
"""If more active students than this are enrolled without a row of their own, a file of the bundle was cut."""

FAMILY = 5
"""So many rows next to each other, or fewer, may be those of a family, or of the last who were entered."""
Row = tuple[str, str, str]
"""File, student and org."""


@dataclass
class Student:
    """A student in the SIS. enrolled: whether they have a running enrollment in the school."""

    listed: Listed = "here"
    enrolled: bool = True
    answer: Answer = "404"


class AbsenceModel:
    """One school where a student without an enrollment counts as gone. asked: whether the SIS answers for single
    people."""

    def __init__(self, *, asked: bool) -> None:
        self.asked = asked
        self.status: dict[str, str] = {}
        self.lists: list[tuple[int, set[str]]] = []
        """The complete lists: how many hours ago, and who was in the school."""
        self.files: list[list[Row]] = []
        """The rows of users and of enrollments in the newest bundle, in their order."""
        self.missing: list[list[Row]] = []
        """Parts of a file of which no row came since."""
        self.part_missing = False
        """Whether that held archivals on the last night."""
        self.address = 0
        """Which of several systems is read."""
        self.had: dict[int, set[str]] = {}
        """Who was ever in the school, by the address that said so."""
        self.never_listed = False
        """Whether that held archivals on the last night."""

    def pass_time(self, hours: int) -> None:
        self.lists = [(ago + hours, members) for ago, members in self.lists]

    def night(self, students: dict[str, Student], bundle: Bundle = "next", days_old: float = 0) -> dict[str, str]:
        """One night. Returns the reason for everybody whom it changes or leaves out.

        If a night proves nobody's absence, only the reasons of people who came.
        """
        self.part_missing = False
        if bundle in ("older", "again"):
            return {}
        complete = bundle != "ahead" and days_old < OLD_DAYS and not self.is_cut(students)
        slash = any("/" in who and one.listed == "here" and one.enrolled for who, one in students.items())
        told = {who: self._reason(who, student, slash=slash) for who, student in students.items()}
        if bundle == "next":
            self._compare_files(
                [("users", who, ORGS[one.listed]) for who, one in students.items() if one.listed != "missing"],
                [("enrollments", who, "s1") for who, one in students.items() if one.enrolled],
            )
        lost = {who for part in self.missing for _, who, _ in part}
        self.part_missing = complete and any(told[who] in ARCHIVES for who in lost)
        present_has = self.had.setdefault(self.address, set())
        others_only = told.keys() - present_has if len(self.had) > 1 else set()
        self.never_listed = complete and any(told[who] in ARCHIVES for who in others_only)
        for who, reason in told.items():
            if reason in ("joined", "returned"):
                self.status[who] = "active"
            elif reason in ARCHIVES and complete and not (self.part_missing or self.never_listed):
                self.status[who] = "archived"
        here = {who for who, student in students.items() if student.listed == "here" and student.enrolled}
        self.lists += [(0, here)] * complete
        present_has |= here
        came = {who for who, student in students.items() if student.listed != "missing"}
        return {who: reason for who, reason in told.items() if reason and (complete or who in came)}

    def _compare_files(self, *files: list[Row]) -> None:
        """Remember which parts of the bundle before are missing. An API is asked for single people."""
        parts = [] if self.asked else [*self.missing, *self.files]
        rows = {row for file in files for row in file}
        elsewhere = {row[:2] for row in rows.difference(*parts)}
        self.missing, self.files = [], list(files)
        for part in parts:
            for came, together in groupby(part, lambda row: row in rows or row[:2] in elsewhere):
                some = list(together)
                if not came and len(some) > FAMILY:
                    self.missing.append(some)

    def came_lately(self, who: str) -> bool:
        """Whether somebody came after the newest list that may be the one of the day before."""
        before = [members for ago, members in self.lists if ago > LATELY]
        since = [members for ago, members in self.lists if ago <= LATELY]
        return bool(before) and who not in before[-1] and any(who in members for members in since)

    def is_cut(self, students: dict[str, Student]) -> bool:
        """Whether a bundle seems to be cut: too many absent students are still enrolled."""
        missing = [who for who, one in students.items() if one.listed == "missing" and one.enrolled]
        lost = sum(self.status.get(who) == "active" for who in missing)
        return not self.asked and lost > MOST_LOST

    def _reason(self, who: str, student: Student, *, slash: bool) -> str:
        """slash: somebody present has an id with a slash, so the SIS is known to find people by such an id."""
        status = self.status.get(who)
        if student.listed == "here" and student.enrolled:
            return {None: "joined", "archived": "returned"}.get(status, "")
        if status != "active":
            return ""
        if student.listed == "unlisted org":
            return "unknown_org"
        if self.came_lately(who):
            return "came_lately"
        if student.listed != "missing":
            return {"deleted": "tobedeleted", "other school": "moved_school", "here": "not_enrolled"}[student.listed]
        if not self.asked:
            return "left"
        if student.answer == "404" and "/" in who and not slash:
            return "not_confirmed"
        if student.answer in CONFIRMS:
            return "moved_school" if student.answer == "other school" else "left"
        if student.answer in UNCLEAR:
            return "not_confirmed"
        return "sis_still_answers" if student.answer == "here" else "not_answered"
