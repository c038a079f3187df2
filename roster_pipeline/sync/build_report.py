"""Reports: the contents of the mail about one sync, from the ledger."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from roster_pipeline import vocabulary
from roster_pipeline.directory.sync_summary import SyncSummary
from roster_pipeline.errors import LOST_COLUMNS, clock_in_words, noticed
from roster_pipeline.notifications.content import (
    Comparison,
    ConnectionFacts,
    ContactCounts,
    Finding,
    Held,
    LeftAlone,
    QualityCheck,
    Rejected,
    RoleCounts,
    RoleSize,
    RowNote,
    SyncReport,
)
from roster_pipeline.notifications.mail import FOLDER_SENDER
from roster_pipeline.notifications.mail import message_id as stable_message_id
from roster_pipeline.settings.installation import MailServer, WebAddresses
from roster_pipeline.sync.source_age import snapshot_facts, wrong_with_age

UI_ADDRESS = "ROSTER_UI_URL"
"""The address at which owners reach the Dagster UI. Without it, a mail has no link to the run."""
REPORTED_ANYWAY = (
    "people_missing", "strangers", "rekeyed", "reassigned_ids", "empty_role", "no_orgs", "shrunk_role", "witness",
    "rejected", "no_quality", "unknown_orgs",
)  # fmt: skip
"""Guards that doubt the roster itself: an owner reads about them even if nobody would change."""


def message_id(*parts: object) -> str:
    """The Message-ID of one event of this installation. It is the same each time the mail is written."""
    return stable_message_id(*parts, sender=MailServer.read().mail_from or FOLDER_SENDER)


def run_url(run_id: str | None) -> str | None:
    """The run's page in the Dagster UI, if the address of the UI is known."""
    base = WebAddresses.read().ui_url
    return f"{base.rstrip('/')}/runs/{run_id}" if base and run_id else None


def console_url() -> str | None:
    """The console's address, if one is set."""
    return WebAddresses.read().console_url.rstrip("/") or None


def report_of(summary: SyncSummary) -> SyncReport:
    """The report of one sync: a pure function of its ledger entry."""
    return SyncReport(
        school_key=summary.school_key,
        school_name=summary.school_name,
        when=summary.at,
        time_zone=summary.settings.time_zone,
        kind=summary.kind,  # type: ignore[arg-type]  # the table's words are SyncKind's
        sync_id=summary.sync_id,
        plan_id=summary.plan_id,
        first_sync=summary.first_sync,
        run_url=run_url(summary.run_id),
        console_url=console_url(),
        roles=tuple(_role(role, summary) for role in vocabulary.ROLE_ORDER if _concerns(role, summary)),
        linked=summary.linked,
        claimed=summary.claimed,
        held=tuple(
            sorted(
                [*_held(summary), *_held_as_such(summary)], key=lambda one: vocabulary.held_place(one.role, one.action)
            )
        ),
        noted=_noted(summary),
        left_alone=tuple(
            LeftAlone(line["role"], line["rows"], line["reason"], vocabulary.REASONS.get(line["reason"], ""))
            for line in sorted(summary.actions, key=lambda line: vocabulary.role_place(line["role"]))
            if line["action"] in ("skip", "conflict")
        ),
        row_notes=tuple(
            RowNote(line["role"], line["rows"], note, vocabulary.NOTES.get(note, ""), note in vocabulary.TO_CHECK)
            for line in sorted(summary.notes, key=lambda line: vocabulary.role_place(line["role"]))
            for note in (line["note"],)
        ),
        checks=tuple(_checks(summary.quality)),
        rejected=tuple(
            Rejected(line["collection"], line["field"], line["rule"], line["rows"], line["severity"])
            for line in summary.rejected
        ),
        connection=_connection(summary),
        comparison=_comparison(summary),
        found=_found(summary),
        records=int(summary.snapshot["counts"].get("raw_users", 0)) if summary.snapshot else None,
        contacts=_contacts(summary),
    )


def _concerns(role: str, summary: SyncSummary) -> bool:
    if summary.kind == "rollback":
        return role in summary.undone
    if summary.kind == "relink":
        return False
    return summary.settings.role(role).rostered or any(line["role"] == role for line in summary.actions)


def _role(role: str, summary: SyncSummary) -> RoleCounts:
    if summary.kind == "rollback":
        back = summary.undone[role]
        updates = back.get("update", 0) + back.get("remove", 0)
        return RoleCounts.of(role, {**back, "update": updates, "skip": back.get("moved", 0)})
    planned: dict[str, int] = defaultdict(int)
    held: dict[str, int] = defaultdict(int)
    for line in summary.actions:
        if line["role"] == role:
            planned[line["action"]] += line["rows"]
            if line["action"] in vocabulary.CHANGING:
                held[line["action"]] += line["rows"] - line["applied"]
    return RoleCounts.of(role, planned, held)


def _held(summary: SyncSummary) -> Iterable[Held]:
    waiting: dict[tuple[str, str, str], int] = defaultdict(int)
    for line in summary.actions:
        waiting[line["role"], line["action"], line["guard"]] += line["rows"] - line["applied_ever"]
    for line in summary.verdict:
        rows = waiting.get((line["role"], line["action"], line["guard"]), 0)
        if line["verdict"] == "hold" and rows:
            yield Held(line["role"], line["action"], rows, tuple(_findings(line)))


def _findings(line: dict[str, Any]) -> Iterable[Finding]:
    for found in vocabulary.without_repeats(line["findings"]):
        yield Finding(found["guard"], found["message"], vocabulary.is_overridable(found))


def _noted(summary: SyncSummary) -> tuple[str, ...]:
    """The findings of guards in rows that they let through."""
    if summary.kind != "sync":
        return ()
    messages = (found["message"] for line in summary.verdict if line["verdict"] == "pass" for found in line["findings"])
    return tuple(dict.fromkeys(messages))


def _held_as_such(summary: SyncSummary) -> Iterable[Held]:
    """Problems of the roster in no finding about rows, each once."""
    if summary.kind != "sync":
        return
    lines = [line for line in summary.verdict if line["verdict"] == "hold"]
    shown_with_rows = {found["message"] for line in lines if line["rows"] for found in line["findings"]}
    for line in lines:
        findings = tuple(
            found
            for found in _findings(line)
            if found.guard in REPORTED_ANYWAY and found.message not in shown_with_rows
        )
        if findings and not line["rows"] and summary.settings.role(line["role"]).rostered:
            yield Held(line["role"], line["action"], 0, findings)


def _checks(quality: list[dict[str, Any]]) -> Iterable[QualityCheck]:
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for rule in quality:
        by_name[rule["check_name"]].append(rule)
    for name, rules in by_name.items():
        failed = [rule for rule in rules if not rule["passed"]]
        yield QualityCheck(
            name,
            passed=not failed,
            tested=max(_of_rules(rules, "tested")),
            failed=max(_of_rules(failed, "failed"), default=0),
            severity="error" if any(rule["severity"] == "error" for rule in failed) else "warning",
        )


def _of_rules(rules: list[dict[str, Any]], count: str) -> Iterable[int]:
    """A count of each rule over all roles. The rules of one check look at the same records: no sums."""
    by_rule: dict[str, int] = defaultdict(int)
    for rule in rules:
        by_rule[rule["rule"]] += rule[count] or 0
    return by_rule.values()


def _connection(summary: SyncSummary) -> ConnectionFacts | None:
    if summary.snapshot is None or not summary.snapshot["proof"]:
        return None
    facts, proof = snapshot_facts(summary.snapshot, summary.settings.zone), summary.snapshot["proof"]
    return ConnectionFacts(
        strategy=str(proof.get("strategy", "")),
        pages=int(proof.get("pages", 0)),
        requests=int(proof.get("requests", 0)),
        seconds=float(proof.get("seconds", 0.0)),
        complete=facts.complete,
        problems=facts.problems,
        records=proof.get("records"),
        retries=int(proof.get("retries", 0)),
        version=proof.get("version"),
        mode=facts.mode,
        written=summary.snapshot["written_at"],
        unchanged_since=facts.unchanged_since,
        old=tuple(wrong_with_age(facts, summary.settings.guards)),
        noticed=noticed(
            unlisted=int(proof.get("unlisted_orgs", 0)),
            respelled=int(proof.get("respelled_orgs", 0)),
            below=int(summary.snapshot["counts"].get("org_below", 0)),
            unclear=int(proof.get("unclear_dates", 0)),
            roleless=int(proof.get("without_role", 0)),
            deleted=bool(summary.snapshot["counts"].get("school_deleted")),
            lost_columns=proof.get(LOST_COLUMNS),
        ),
        clock=next((words for note in proof.get("notes", ()) if (words := clock_in_words(note))), ""),
    )


def _found(summary: SyncSummary) -> int | None:
    """How many people of rostered roles the roster has. Only for a sync."""
    if summary.kind != "sync" or summary.snapshot is None or "roles" not in summary.snapshot["counts"]:
        return None
    return sum(summary.roles.get(role, 0) for role in summary.settings.rostered)


def _contacts(summary: SyncSummary) -> ContactCounts:
    flags = summary.contact_flags if summary.kind == "sync" else {}
    return ContactCounts(
        excluded=flags.get("excluded", 0),
        unknown=flags.get("unknown_values", 0),
        removed=sum(line["applied"] for line in summary.actions if line["role"] == vocabulary.CONTACT),
        withheld=flags.get("fields_withheld", 0),
    )


def _comparison(summary: SyncSummary) -> Comparison | None:
    if summary.previous is None or summary.kind != "sync":  # an approval applies the same roster again
        return None
    when, before = summary.previous
    sizes = tuple(
        RoleSize(role, before.get(role, 0), summary.roles.get(role, 0))
        for role in vocabulary.ROLE_ORDER
        if role in summary.settings.rostered
    )
    return Comparison(when, sizes)
