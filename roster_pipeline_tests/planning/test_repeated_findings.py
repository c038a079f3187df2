"""One cause is told once, and what is told once holds no less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roster_pipeline.cleaning.quality_suite import installed_suite
from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning import guards as judging
from roster_pipeline.planning.findings import Finding
from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan import Plan
from roster_pipeline.planning.plan_stats import PlanStats
from roster_pipeline.planning.snapshot_guards import USABLE, WholeSchool, quality_findings
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import ARCHIVE, CHANGING
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, plan_to_judge

ROLES = ("student", "teacher", "admin")
THERE = {"student": 200, "teacher": 60, "admin": 20}
INCOMPLETE = SnapshotFacts(complete=False, problems=("source-older-than-before",))


def plan_of(**rows: dict[str, int]) -> Plan:
    """So many rows by role and action."""
    return plan_to_judge({(role, action): n for role, of in rows.items() for action, n in of.items()}, ROLES)


def facts(**known: Any) -> PlanStats:
    """A quiet sync."""
    usual = PlanStats(
        snapshot=COMPLETE,
        history=pd.DataFrame({role: [count] * 7 for role, count in THERE.items()}),
        counts=dict(THERE),
        managed=dict(THERE),
        records={**THERE, "unknown": 0},
        rejected=dict.fromkeys((*ROLES, "unknown"), 0),
        contradictions=0,
        today=TODAY,
        first_sync=False,
        rekeyed={},
    )
    return replace(usual, **known)


def came(**counts: int) -> dict[str, Any]:
    """So many people of these roles, of the others as many as usual; and who is missing."""
    missing = {role: THERE[role] - count for role, count in counts.items()}
    mostly = {role: count for role, count in missing.items() if 2 * count > THERE[role]}
    school = WholeSchool(
        known=sum(THERE.values()), missing=sum(missing.values()), missing_roles=missing, mostly_missing=mostly
    )
    return {"counts": THERE | counts, "school": school}


def line(verdict: Verdict, role: str, action: str) -> tuple[set[str], dict[str, str]]:
    """The guards that are told of a line, and those that repeat them, with the guard that tells the cause."""
    found: Any = verdict.rows.set_index(["role", "action", "guard"])["findings"][role, action, ""]
    repeats = {one["guard"]: one["repeats"] for one in found if one["repeats"]}
    return {one["guard"] for one in found if not one["repeats"]}, repeats


SYNCS: list[tuple[str, Plan, PlanStats, str, str, set[str], dict[str, str]]] = [
    (
        "a role that came back empty",
        plan_of(student={"archive": 200}), facts(**came(student=0)), "student", "archive",
        {"empty_role"},
        dict.fromkeys(("shrunk_role", "archivals", "people_missing"), "empty_role"),
    ),
    (
        "another role beside it says its own",
        plan_of(student={"archive": 200}, admin={"archive": 5}), facts(**came(student=0)), "admin", "archive",
        {"empty_role", "archivals", "small_role"},
        {"shrunk_role": "empty_role", "people_missing": "empty_role"},
    ),
    (
        "a role that shrank",
        plan_of(student={"archive": 60}), facts(**came(student=140)), "student", "archive",
        {"shrunk_role"},
        {"archivals": "shrunk_role"},
    ),
    (
        "a role that shrank by fewer than would be archived",
        plan_of(student={"archive": 120}), facts(**came(student=140)), "student", "archive",
        {"shrunk_role", "archivals"},
        {},
    ),
    (
        "a whole role without a school",
        plan_of(teacher={"archive": 60}), facts(**came(teacher=0), without_org={"teacher": 60}), "teacher", "archive",
        {"no_orgs"},
        dict.fromkeys(("empty_role", "shrunk_role", "archivals"), "no_orgs"),
    ),
    (
        "a role that is empty, and one of whom came without a school",
        plan_of(teacher={"archive": 60}), facts(**came(teacher=0), without_org={"teacher": 1}), "teacher", "archive",
        {"no_orgs", "empty_role"},
        {"shrunk_role": "empty_role", "archivals": "empty_role"},
    ),
    (
        "an incomplete snapshot",
        plan_of(student={"archive": 50}), facts(snapshot=INCOMPLETE), "student", "archive",
        {"incomplete_snapshot"},
        {"archivals": "incomplete_snapshot", "older_source": "incomplete_snapshot"},
    ),
    (
        "an incomplete snapshot holds archivals alone",
        plan_of(student={"create": 60}), facts(snapshot=INCOMPLETE), "student", "create",
        {"older_source", "creations"},
        {},
    ),
    (
        "most of all roles are missing, and no role has a past",
        plan_of(student={"archive": 150}, teacher={"archive": 40}),
        facts(**came(student=50, teacher=20), history=pd.DataFrame()), "teacher", "archive",
        {"people_missing"},
        {"archivals": "people_missing"},
    ),
    (
        "most are missing, and a role of which few are",
        plan_of(student={"archive": 150}, teacher={"archive": 8}),
        facts(**came(student=50, teacher=52), history=pd.DataFrame()), "teacher", "archive",
        {"people_missing", "archivals"},
        {},
    ),
    (
        "strangers",
        plan_of(student={"create": 190}),
        facts(school=WholeSchool(came=280, strangers=190, mostly_new={"student": 190})), "student", "create",
        {"strangers"},
        {"creations": "strangers"},
    ),
    (
        "new ids",
        plan_of(student={"update": 180}), facts(rekeyed={"student": (180, 200)}), "student", "update",
        {"rekeyed"},
        {"updates": "rekeyed"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "sync", "role", "action", "told", "repeats"), [case[1:] for case in SYNCS], ids=[c[0] for c in SYNCS]
)
def test_a_cause_is_told_once(
    plan: Plan, sync: PlanStats, role: str, action: str, told: set[str], repeats: dict[str, str]
) -> None:
    verdict = judge(plan, sync, Guards())
    assert line(verdict, role, action) == (told, repeats)
    of = verdict.rows[(verdict.rows["role"] == role) & (verdict.rows["action"] == action)]
    assert list(of["verdict"]) == ["hold"]


def test_the_quality_rule_that_counts_rejected_records_repeats_the_guard_that_does() -> None:
    results = pd.DataFrame(
        [(1, rule.name, rule.severity, "student", rule.name != USABLE, 200, 20 * (rule.name == USABLE))
         for rule in installed_suite().rules],
        columns=["snapshot_id", "rule", "severity", "role", "passed", "tested", "failed"],
    )  # fmt: skip
    quality = list(quality_findings(results, installed_suite().rules, 1))
    for rejected, told in ((20, {"rejected"}), (0, {"quality"})):
        sync = facts(rejected={"student": rejected})
        verdict = judge(plan_of(student={"archive": 1}), sync, Guards(), quality)
        assert line(verdict, "student", "archive")[0] == told


SOME = st.sampled_from((0, 1, 3, 5, 12, 30, 61, 150, 200))
PLANS = st.dictionaries(st.sampled_from(ROLES), st.dictionaries(st.sampled_from(CHANGING), SOME), max_size=3)
COUNTS = st.fixed_dictionaries(
    {role: st.sampled_from((0, count // 4, count // 2, count)) for role, count in THERE.items()}
)
NUMBERS = st.dictionaries(st.sampled_from(ROLES), SOME, max_size=3)


@given(
    PLANS, COUNTS, NUMBERS, NUMBERS, st.sampled_from((COMPLETE, INCOMPLETE)), st.booleans(),
    st.sampled_from((0, 5)), SOME, SOME,
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_what_is_told_once_is_held_as_before(
    rows: dict[str, dict[str, int]], counts: dict[str, int], bare: dict[str, int], bad: dict[str, int],
    snapshot: SnapshotFacts, past: bool, contradictions: int, strangers: int, lower: int,
) -> None:  # fmt: skip
    quiet = came(**counts)
    school = replace(
        quiet["school"], came=max(sum(counts.values()), 1), strangers=strangers, mostly_new={"student": strangers},
        graded=200, lower=lower,
    )  # fmt: skip
    sync = facts(
        **(quiet | {"school": school}),
        snapshot=snapshot,
        without_org={role: min(number, THERE[role]) for role, number in bare.items()},
        rejected={"unknown": bad.pop("admin", 0), **bad},
        rekeyed={"student": (lower, 200)},
        contradictions=contradictions,
        claimed={"teacher": lower},
        **({} if past else {"history": pd.DataFrame()}),
    )
    quality = [Finding("quality", "x", 1, 0, (ARCHIVE,), ("teacher",), about="teacher")] if lower else []
    plan = plan_of(**rows)
    verdict = judge(plan, sync, Guards(), quality)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(judging, "as_line", lambda found: [one.as_dict() for one in found])
        plain = judge(plan, sync, Guards(), quality)
    names = ["role", "action", "guard", "verdict", "rows"]
    assert verdict.rows[names].equals(plain.rows[names])
    for said, whole in zip(verdict.rows["findings"], plain.rows["findings"], strict=True):
        assert [{name: value for name, value in one.items() if name != "repeats"} for one in said] == whole
        told = {one["guard"] for one in said if not one["repeats"]}
        assert bool(told) == bool(said), "a held line always tells why"
        hidden = [one for one in said if one["repeats"]]
        assert all(one["repeats"] in told and one["overridable"] and not one["approver"] for one in hidden)
