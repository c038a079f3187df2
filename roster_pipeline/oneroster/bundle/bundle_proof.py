"""What a row of bundles is worth: the proof of completeness, and how old the source is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from roster_pipeline.oneroster.bundle.bundle_discovery import Dated
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout
from roster_pipeline.oneroster.bundle.delta_chain import MISSED, LastRead, is_broken, is_older
from roster_pipeline.oneroster.bundle.opened_bundle import OpenedBundle
from roster_pipeline.oneroster.bundle.reading import Tally
from roster_pipeline.oneroster.collections.proof import Proof, SourceAge

NO_WITNESS = "no-second-witness"
"""Note of every bundle's proof: nobody can be asked for a single person."""
AHEAD_OF_TIME = "source-from-the-future"
"""Problem: its own time is wrong, so nobody knows how old it is. Once seen, it does no harm below a newer one."""
OLDER = "source-older-than-before"
SEVERAL_SCHOOLS = "bundles-of-one-night"
"""Note: so many bulk bundles of one night were read, each for schools of its own."""
LEFT_OUT = "bundle-left-out"
"""Note: a bulk bundle of the same night has no school that a newer one lacks."""
MARKS_KEPT = 1000
"""Bundles of a place that are remembered; a place with more is one that nobody clears."""


@dataclass(frozen=True)
class Judged:
    """One bundle that was read to its end."""

    package: OpenedBundle
    contents: BundleLayout
    tally: Tally


def proof_of(
    judged: Sequence[Judged],
    read: Sequence[Dated],
    bundles: Sequence[Dated],
    last: LastRead | None,
    superseded: int,
    seconds: float,
    notes: Sequence[str] = (),
    problems_of_row: Sequence[str] = (),
) -> Proof:
    """What the row is worth: complete only if every bundle is, none is missing, and the time of none is wrong.

    judged: what was read, the newest first. read: those of them that make a row, up to the first that says everything.
    bundles: all that lie there, the newest first. notes, problems_of_row: what was found beside the single bundles.
    """
    older = is_older(read[0], last)
    newest, whole = judged[0], judged[len(read) - 1].contents.whole and not older
    problems = [problem for one in judged for problem in (*one.contents.problems, *one.tally.problems)]
    problems += problems_of_row
    if is_broken(read, bundles, last, whole=whole):
        problems.append(MISSED)
    bulk = sorted(str(one.contents.revision) for one in judged[len(read) - 1 :]) if whole else []
    age = _age(read, bundles, last, bulk)
    if read[0].ahead or any(one.ahead and one.news for one in read):
        problems.append(f"{AHEAD_OF_TIME}:{age.hours_ahead:.0f} hours" if age.hours_ahead else AHEAD_OF_TIME)
    if older:
        problems.append(OLDER)
    notes = [*(note for one in judged for note in (*one.contents.notes, *one.tally.notes)), *notes]
    if len(read) > 1:
        notes.append(f"bundles:{len(read)}")
    return Proof(
        strategy="csv+roles" if "roles" in newest.contents.files else "csv",
        mode="full" if whole else "delta",
        version=newest.contents.version,
        complete=not problems,
        problems=tuple(dict.fromkeys(problems)),
        notes=(*dict.fromkeys(notes), NO_WITNESS),
        unread_roles=(),
        pages=sum(one.tally.pages for one in judged),
        records=sum(one.tally.records for one in judged) - superseded,
        rejected=sum(one.tally.rejected for one in judged),
        left_out=sum(one.tally.left_out for one in judged),
        duplicates=sum(one.tally.duplicates for one in judged),
        total_start=None,
        total_end=None,
        requests=sum(one.package.requests for one in judged),
        retries=0,
        bytes=sum(one.contents.bytes for one in judged),
        seconds=round(seconds, 3),
        readings=1,
        revision=_revision(judged),
        server_time=age.written,
        age=age,
        unlisted_orgs=sum(one.tally.references.unlisted for one in judged),
        respelled_orgs=sum(one.tally.references.respelled for one in judged),
        unclear_dates=sum(one.tally.unclear_dates for one in judged),
    )


def _age(read: Sequence[Dated], bundles: Sequence[Dated], last: LastRead | None, bulk: Sequence[str]) -> SourceAge:
    newest = read[0]
    known = [last.newest.timestamp()] if last is not None and last.newest is not None else []
    latest = max([*known, *([] if newest.ahead else [newest.written])], default=None)
    return SourceAge(
        written=_iso(newest.written),
        hours_ahead=round((newest.lying.stated - newest.first_seen) / 3600, 1) if newest.ahead else 0.0,
        newest=None if latest is None else _iso(latest),
        marks={one.lying.mark: one.first_seen for one in bundles[:MARKS_KEPT]},
        bulk=_joined(bulk) if bulk else None,
    )


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _revision(judged: Sequence[Judged]) -> str:
    return _joined([str(one.contents.revision) for one in judged])


def _joined(revisions: Sequence[str]) -> str:
    """One fingerprint of several."""
    return revisions[0] if len(revisions) == 1 else hashlib.sha256("\n".join(revisions).encode()).hexdigest()
