"""What the quality results of a snapshot hold back: nobody is archived by a roster that failed a grave rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from roster_pipeline.cleaning.findings import ARCHIVE, EVERYBODY, Finding, percent
from roster_pipeline.cleaning.quality_suite import Rule

USABLE = "record_usable"
"""The quality rule that counts what the guard on rejected records counts."""
NOT_TESTED = "The quality of this snapshot was not tested, so nothing says that its absences are real."


def quality_findings(results: pd.DataFrame, rules: Sequence[Rule], snapshot_id: int) -> Iterator[Finding]:
    """Findings that hold archivals of the roles concerned; all of them can be approved.

    results: snapshot_id and `RESULT_COLUMNS`, as stored; those of another snapshot count for nothing. rules: the
    suite as the school wants it now. A rule without a result is held against every role, whatever its severity: what
    was not tested has not passed.
    """
    own = results[results["snapshot_id"] == snapshot_id]
    missing = [rule.name for rule in rules if rule.name not in set(own["rule"])]
    crashed = sorted({str(name) for name in own.loc[own["tested"].isna(), "rule"]})
    if rules and len(missing) == len(rules):
        yield untested(NOT_TESTED)
    elif missing or crashed:
        names = ", ".join([*missing, *crashed])
        yield untested(f"Quality rules that could not be evaluated: {names}. What was not tested has not passed.")
    known = {rule.name: rule for rule in rules}
    totals = own.groupby("rule")["tested"].sum()
    failed = own[~own["passed"].astype("bool") & (own["severity"] == "error") & own["tested"].notna()]
    for name, role, tested, bad in failed[["rule", "role", "tested", "failed"]].itertuples(index=False):
        concerned = known[name].roles if name in known else ()
        if role and concerned and role not in concerned:
            continue
        whole = int(tested) if role else int(totals[name])
        yield _failed(
            str(name), known.get(str(name)), str(role), whole, int(bad), (role,) if role else concerned or None
        )


def untested(message: str) -> Finding:
    """What holds every archival where results are missing."""
    return Finding("no_quality", message, 1, 0, (ARCHIVE,))


def _failed(
    name: str, rule: Rule | None, role: str, tested: int, failed: int, roles: tuple[str, ...] | None
) -> Finding:
    share = failed / tested if tested else 1.0
    about = f" ({rule.description[0].lower()}{rule.description[1:]})" if rule else ""
    of = f"{role} records" if role else "records"
    said = f"{failed} of {tested} {of} fail, {percent(share)}" if tested else "nobody came who could be tested"
    limit = round(1 - rule.mostly, 6) if rule else 0.0
    message = f"Quality rule {name}{about}: {said}."
    bad = {role or EVERYBODY: failed} if name == USABLE else {}
    return Finding("quality", message, share, limit, (ARCHIVE,), roles, about=role, people=bad, allowed=limit * tested)
