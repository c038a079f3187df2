"""One cause is reported once, and repeated findings still hold."""

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
from roster_pipeline.planning.slow_losses import Loss
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
    """This many people of these roles, of the others as many as usual; and the missing people."""
    missing = {role: THERE[role] - count for role, count in counts.items()}
    mostly = {role: count for role, count in missing.items() if 2 * count > THERE[role]}
    school = WholeSchool(
        known=sum(THERE.values()), missing=sum(missing.values()), missing_roles=missing, mostly_missing=mostly
    )
    return {"counts": THERE | counts, "school": school}


def line(verdict: Verdict, role: str, action: str) -> tuple[set[str], dict[str, str]]:
    """The reported guards of a line, and those that repeat them, with the guard of the cause."""
    found: Any = verdict.rows.set_index(["role", "action", "guard"])["findings"][role, action, ""]
    repeats = {one["guard"]: one["repeats"] for one in found if one["repeats"]}
    return {one["guard"] for one in found if not one["repeats"]}, repeats


def case(
    name: str, line: str, told: str, repeats: dict[str, str], /, rows: dict[str, dict[str, int]], **known: Any
) -> Any:
    """A night: the line (role and action), the reported guards, and those that repeat them."""
    return pytest.param(plan_of(**rows), facts(**known), line, set(told.split()), repeats, id=name)


def of_cause(cause: str, *guards: str) -> dict[str, str]:
    """These guards repeat one cause."""
    return dict.fromkeys(guards, cause)


NO_PAST = pd.DataFrame()
NEW = WholeSchool(came=280, strangers=190, mostly_new={"student": 190})
SYNCS = [
    case("a role that came back empty", "student archive", "empty_role",
         of_cause("empty_role", "shrunk_role", "archivals", "people_missing"),
         rows={"student": {"archive": 200}}, **came(student=0)),
    case("another role beside it says its own", "admin archive", "empty_role archivals small_role",
         of_cause("empty_role", "shrunk_role", "people_missing"),
         rows={"student": {"archive": 200}, "admin": {"archive": 5}}, **came(student=0)),
    case("a role that shrank", "student archive", "shrunk_role", of_cause("shrunk_role", "archivals"),
         rows={"student": {"archive": 60}}, **came(student=140)),
    case("a part of a file is missing", "student archive", "part_missing", of_cause("part_missing", "archivals"),
         rows={"student": {"archive": 30}}, missing_part={"student": 25}),
    case("one person of a part of a file is missing", "student archive", "part_missing archivals", {},
         rows={"student": {"archive": 30}}, missing_part={"student": 1}),
    case("most came only from an earlier address", "student archive", "never_listed",
         of_cause("never_listed", "archivals"), rows={"student": {"archive": 30}}, never_listed={"student": 25}),
    case("hundreds came only from an earlier address", "student archive", "never_listed",
         of_cause("never_listed", "archive_most"), rows={"student": {"archive": 600}}, never_listed={"student": 580},
         managed=THERE | {"student": 9000}, counts=THERE | {"student": 8400}),
    case("a large loss of one night", "student archive", "archivals", of_cause("archivals", "slow_loss"),
         rows={"student": {"archive": 60}}, losses={"student": (Loss(14, 70, 60, 210, all_grades=True),)}),
    case("a slow loss that began before", "student archive", "archivals slow_loss", {},
         rows={"student": {"archive": 30}}, losses={"student": (Loss(14, 81, 30, 250, all_grades=True),)}),
    case("a role that shrank by fewer than would be archived", "student archive", "shrunk_role archivals", {},
         rows={"student": {"archive": 120}}, **came(student=140)),
    case("a whole role without a school", "teacher archive", "no_orgs",
         of_cause("no_orgs", "empty_role", "shrunk_role", "archivals"),
         rows={"teacher": {"archive": 60}}, **came(teacher=0), without_org={"teacher": 60}),
    case("a role that is empty, and one of whom came without a school", "teacher archive", "no_orgs empty_role",
         of_cause("empty_role", "shrunk_role", "archivals"),
         rows={"teacher": {"archive": 60}}, **came(teacher=0), without_org={"teacher": 1}),
    case("an incomplete snapshot", "student archive", "incomplete_snapshot",
         of_cause("incomplete_snapshot", "archivals", "older_source"),
         rows={"student": {"archive": 50}}, missing_part={"student": 25}, never_listed={"student": 25},
         snapshot=INCOMPLETE),
    case("an incomplete snapshot holds archivals alone", "student create", "older_source creations", {},
         rows={"student": {"create": 60}}, snapshot=INCOMPLETE),
    case("most of all roles are missing, and no role has a past", "teacher archive", "people_missing",
         of_cause("people_missing", "archivals"), history=NO_PAST,
         rows={"student": {"archive": 150}, "teacher": {"archive": 40}}, **came(student=50, teacher=20)),
    case("most are missing, and a role of which few are", "teacher archive", "people_missing archivals", {},
         rows={"student": {"archive": 150}, "teacher": {"archive": 8}}, history=NO_PAST,
         **came(student=50, teacher=52)),
    case("strangers", "student create", "strangers", of_cause("strangers", "creations"),
         rows={"student": {"create": 190}}, school=NEW),
    case("new ids", "student update", "rekeyed", of_cause("rekeyed", "updates"),
         rows={"student": {"update": 180}}, rekeyed={"student": (180, 200)}),
    case("an old file with lower grades", "student update", "lower_grades", of_cause("lower_grades", "updates"),
         rows={"student": {"update": 180}}, school=WholeSchool(graded=200, lower=180)),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "sync", "which", "told", "repeats"), SYNCS)
def test_a_cause_is_reported_once(
    plan: Plan, sync: PlanStats, which: str, told: set[str], repeats: dict[str, str]
) -> None:
    verdict, (role, action) = judge(plan, sync, Guards()), which.split()
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
