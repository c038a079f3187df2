"""Random nights of CSV files that do not say everything: columns that are lost, rows of changes with a part of their
cells, and cells that are empty or that nobody can read."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.column_model import NAMES, REQUIRED, UNREADABLE, Cells, ColumnModel
from roster_pipeline_tests.invariants.histories import assert_happened, histories, run_histories
from roster_pipeline_tests.sources.conftest import ORG_COLUMNS, USERS, School, Source, manifest, table, teacher

EXAMPLES = histories(2, 60)
DAYS = 14
STUDENTS = 8
OPEN: dict[str, Any] = {
    **dict.fromkeys(("missing_share", "strangers_share", "shrink_share", "archive_share", "slow_loss_share"), 1.0),
    **dict.fromkeys(("rekeyed_share", "create_share", "update_share", "update_key_share"), 1.0),
    "moved_keys": 1000,
}
"""No guards on sizes: the main proof tests them."""
STORED = """
select l.sourced_id as who, p.given_name as "givenName", p.family_name as "familyName", p.middle_name as "middleName",
       p.email, p.number as identifier, p.username, p.phone, m.grade as grades
from person p join link l on l.person_id = p.id join membership m on m.person_id = p.id
join school s on s.id = m.school_id where s.key = :school and m.role = 'student' and m.status = 'active'
"""
CHANGES = st.lists(
    st.tuples(
        st.integers(0, STUDENTS - 1), st.sampled_from(("new", "empty", "unreadable", "names", "names and keys")),
        st.sampled_from(sorted(UNREADABLE)),
    ),
    max_size=5,
)  # fmt: skip
COLUMNS = st.sets(st.sampled_from(sorted(UNREADABLE)), max_size=3)
seen = Counter[str]()
_numbers = count(1)


class Columns(RuleBasedStateMachine):
    """Nights of one school. `database` and `source` are set by the test."""

    database: Database
    source: Source

    def __init__(self) -> None:
        super().__init__()
        self.number = str(next(_numbers))
        self.school = School(self.database, self.source, self.number)
        self.school.choose(guards=OPEN, primary_contacts=False)
        self.model = ColumnModel()
        self.values = self.exports = 0
        self.sis = {f"h{self.number}-{place}": self._fresh((*NAMES, *UNREADABLE)) for place in range(STUDENTS)}

    @initialize()
    def everybody_enrols(self) -> None:
        self._night(self.sis, set(UNREADABLE), delta=False)
        first = [
            (0, "empty", "email"),
            (1, "names", "email"),
            (2, "unreadable", "grades"),
            (4, "names and keys", "email"),
        ]
        self.bulk(first, {"email", "phone"})
        self.changes_only([(1, "new", "phone"), (3, "empty", "middleName")], {"email"}, partly=True)

    @rule(changes=CHANGES, lost=COLUMNS)
    def bulk(self, changes: list[tuple[int, str, str]], lost: set[str]) -> None:
        """Values change, and the file lacks some columns."""
        self._happen(changes)
        self._night(self.sis, set(UNREADABLE) - lost, delta=False)

    @rule(changes=CHANGES, lost=COLUMNS, partly=st.booleans())
    def changes_only(self, changes: list[tuple[int, str, str]], lost: set[str], partly: bool) -> None:
        """The file has only those who changed. partly: without their user names."""
        names = self._happen(changes)
        rows = {who: self.sis[who] | ({REQUIRED: ""} if partly else {}) for who in names}
        self._night(rows, set(UNREADABLE) - lost, delta=True)

    def _happen(self, changes: list[tuple[int, str, str]]) -> list[str]:
        changed = []
        for place, what, column in changes:
            who = list(self.sis)[place]
            names: tuple[str, ...] = (
                *NAMES,
                *(("email", "username", "identifier") if what == "names and keys" else ()),
            )
            fresh = self._fresh((column,) if what == "new" else names)
            self.sis[who] |= {"empty": {column: ""}, "unreadable": {column: UNREADABLE[column]}}.get(what, fresh)
            changed.append(who)
        return changed

    def _fresh(self, names: tuple[str, ...]) -> Cells:
        """Values that nobody ever had."""
        self.values += 1
        word = "".join(chr(ord("a") + int(digit)) for digit in str(self.values))
        fresh = {
            "givenName": f"Given{word}", "familyName": f"Family{word}", "middleName": f"Mid{word}",
            "email": f"{word}@people.example", "identifier": str(5000 + self.values), "username": f"user{word}",
            "phone": f"+1312555{1000 + self.values}", "grades": f"{8 + self.values % 2:02}",
        }  # fmt: skip
        return {name: fresh[name] for name in names}

    def _night(self, rows: dict[str, Cells], columns: set[str], *, delta: bool) -> None:
        self.exports += 1
        people = [teacher(0) | {"dateLastModified": f"2026-01-01T00:00:00.{self.exports:03d}Z", "status": "active"}]
        for who, cells in rows.items():
            people.append({"sourcedId": who, "orgSourcedIds": "s1", "role": "student", "enabledUser": "true"} | cells)
        kept = [name for name in USERS if name not in UNREADABLE or name in columns]
        self.source.files = {
            "manifest.csv": manifest(users="delta" if delta else "bulk"),
            "orgs.csv": table(ORG_COLUMNS, self.source.orgs),
            "users.csv": table(kept, people),
        }
        expected = self.model.night(rows, columns, delta=delta)
        told = self.school.sync()
        waits = {who: reason for who, reason in told.items() if reason in ("joined", "id_reassigned") and who in rows}
        assert waits == expected
        shown = {row.pop("who"): row for row in self.school.rows(STORED, school=self.school.school)}
        assert shown == {who: student.stored for who, student in self.model.students.items()}
        seen.update(["lost columns"] * (len(columns) < len(UNREADABLE)), **Counter(expected.values()))
        seen.update("unknown" for student in self.model.students.values() if student.said.unknown)


@pytest.mark.timeout(0)
def test_random_columns_say_what_the_rules_say(database: Database, home: Path) -> None:
    class Here(Columns):
        pass

    Here.database, Here.source = database, Source("csv", home / "exports")
    seen.clear()
    run_histories(Here, EXAMPLES, DAYS)
    assert_happened(seen, {"lost columns", "joined", "id_reassigned", "unknown"})
