"""A plan as numbers: rows by role and action, and what of it is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roster_pipeline.notifications.outcome import NOUNS, joined
from roster_pipeline.vocabulary import counted, held_place, role_place

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from roster_pipeline.directory.plans import PlanRow


NOTHING = ("nan", "<NA>", "NaT")


@dataclass(frozen=True)
class PlanSummary:
    """counts: role to action to rows. verdict: role, action, verdict, rows, findings, sync_id (who applied it).

    found: people of rostered roles in the roster that was planned; None where they were not counted.
    """

    plan: PlanRow
    counts: dict[str, dict[str, int]]
    verdict: list[dict[str, Any]]
    found: int | None

    @property
    def held(self) -> list[tuple[str, str, int, list[tuple[str, bool]]]]:
        """Role, action, rows, and per finding its message and whether an approval can let it through."""
        from roster_pipeline.vocabulary import is_overridable, without_repeats

        return [
            (
                line["role"],
                line["action"],
                int(line["rows"]),
                [(found["message"], is_overridable(found)) for found in without_repeats(line["findings"])],
            )
            for line in self.verdict
            if line["verdict"] == "hold" and line["rows"] and line["sync_id"] is None
        ]

    @property
    def held_rows(self) -> int:
        """How many rows wait for a person."""
        return sum(rows for _, _, rows, _ in self.held)

    @property
    def state(self) -> str:
        """What became of the plan, in words."""
        if self.plan.dry_run:
            return "a dry run"
        applied = [line for line in self.verdict if line["sync_id"] is not None]
        syncs = sorted({line["sync_id"] for line in [line for line in applied if line["rows"]] or applied})
        return f"applied by sync {', '.join(map(str, syncs))}" if syncs else self.plan.state

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "plan": self.plan.id,
            "made_at": self.plan.made_at,
            "hash": self.plan.hash,
            "dry_run": self.plan.dry_run,
            "first_sync": self.plan.first_sync,
            "state": self.state,
            "counts": self.counts,
            "held": self.held_rows,
            "found": self.found,
            "verdict": self.verdict,
        }


def would_do(summary: PlanSummary) -> str:
    """What a sync of this plan would do now, in numbers; the riskiest first."""
    totals = {action: sum(of.get(action, 0) for of in summary.counts.values()) for action in NOUNS}
    changes = [counted(rows, *NOUNS[action]) for action, rows in totals.items() if rows]
    people = "" if summary.found is None else f" {counted(summary.found, 'person', 'people')} came from the SIS."
    if not changes:
        return f"A sync would change nothing.{people}"
    held = f" {summary.held_rows:,} of these changes would be held for a decision." if summary.held_rows else ""
    return f"A sync would bring {joined(changes)}.{held}{people}"


def plain(value: Any) -> Any:
    """A cell of a frame without the frame's words for nothing, and numbers as Python has them."""
    if isinstance(value, list | dict | str):
        return value
    return None if value is None or str(value) in NOTHING else int(value)


def summary_of_run(opened: Connection, key: str, run_id: str) -> PlanSummary:
    """The plan that one run made. Raises SyncError when it made none."""
    from roster_pipeline.directory import plans, tenants
    from roster_pipeline.sync.error_messages import SyncError

    plan = plans.latest(opened, tenants.get_school(opened, key).id, dry_run=True)
    if plan is None or plan.run_id != run_id:
        raise SyncError(key, "the run ended without a plan", "Look at the run in the UI: roster dev")
    return summary_of(opened, plan)


def summary_of(opened: Connection, plan: PlanRow) -> PlanSummary:
    """Counts and verdict of a stored plan."""
    from roster_pipeline.directory import plans, snapshots

    judged = plans.load_verdict(opened, plan.id).to_dict("records")
    lines = [{str(name): plain(value) for name, value in row.items()} for row in judged]
    lines.sort(key=lambda line: held_place(line["role"], line["action"]))
    found = [(role, dict(of)) for role, of in plan.counts.items() if isinstance(of, dict)]
    counts = dict(sorted(found, key=lambda one: role_place(one[0])))
    roles = snapshots.facts(opened, plan.snapshot_id)["counts"].get("roles")
    return PlanSummary(plan, counts, lines, found=None if roles is None else sum(roles.values()))
