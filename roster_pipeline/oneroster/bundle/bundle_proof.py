"""The proof of completeness of the bundles that were read, and the age of the source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from roster_pipeline.oneroster.bundle.bundle_discovery import DatedBundle
from roster_pipeline.oneroster.bundle.bundle_files import OpenedBundle
from roster_pipeline.oneroster.bundle.bundle_layout import BundleLayout
from roster_pipeline.oneroster.bundle.bundle_reading import Tally
from roster_pipeline.oneroster.bundle.delta_chain import MISSED, LastRead, is_broken, is_older
from roster_pipeline.oneroster.collections.proof import Proof, SourceAge
from roster_pipeline.vocabulary import counted

NO_WITNESS = "no-second-witness"
"""Note of every bundle's proof: a bundle cannot be asked for a single person."""
AHEAD_OF_TIME = "source-from-the-future"
"""Problem: the bundle's own time is wrong, so its age is unknown. It no longer matters once a newer one is read."""
OLDER = "source-older-than-before"
SEVERAL_SCHOOLS = "bundles-of-one-night"
"""Note: so many bulk bundles of one export were read, each for schools of its own."""
LEFT_OUT = "bundle-left-out"
"""Note: a bulk bundle of the same export has no school that a newer one lacks."""
MARKS_KEPT = 1000
"""Bundles of a place that are remembered; more are there only where nobody deletes old ones."""


@dataclass(frozen=True)
class ReadBundle:
    """One bundle that was read to its end."""

    opened: OpenedBundle
    layout: BundleLayout
    tally: Tally


def proof_of(
    results: Sequence[ReadBundle],
    chain: Sequence[DatedBundle],
    bundles: Sequence[DatedBundle],
    last: LastRead | None,
    superseded: int,
    seconds: float,
    notes: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> Proof:
    """The proof: complete only if every bundle is complete, none is missing, and no time is wrong.

    results: what was read, newest first. chain: the bundles of it that form a chain, up to the first bulk one. bundles:
    all in the place, newest first. notes, problems: found outside the single bundles.
    """
    older = is_older(chain[0], last)
    newest, base = results[0], results[len(chain) - 1]
    whole = base.layout.whole and not older
    all_problems = [problem for each in results for problem in (*each.layout.problems, *each.tally.problems)]
    all_problems += problems
    if is_broken(chain, bundles, last, whole=whole):
        all_problems.append(MISSED)
    bulk = sorted(each.layout.revision for each in results[len(chain) - 1 :]) if whole else []
    age = _age(chain[0], bundles, last, bulk)
    if chain[0].ahead or any(bundle.ahead and bundle.is_new for bundle in chain):
        hours = counted(round(age.hours_ahead), "hour", "hours")
        all_problems.append(f"{AHEAD_OF_TIME}:{hours}" if age.hours_ahead else AHEAD_OF_TIME)
    if older:
        all_problems.append(OLDER)
    all_notes = [*(note for each in results for note in (*each.layout.notes, *each.tally.notes)), *notes]
    if len(chain) > 1:
        all_notes.append(f"bundles:{len(chain)}")
    return Proof(
        strategy="csv+roles" if "roles" in newest.layout.files else "csv",
        mode="full" if whole else "delta",
        version=newest.layout.version,
        complete=not all_problems,
        problems=tuple(dict.fromkeys(all_problems)),
        notes=(*dict.fromkeys(all_notes), NO_WITNESS),
        unread_roles=(),
        pages=sum(each.tally.pages for each in results),
        records=sum(each.tally.records for each in results) - superseded,
        rejected=sum(each.tally.rejected for each in results),
        left_out=sum(each.tally.left_out for each in results),
        duplicates=sum(each.tally.duplicates for each in results),
        total_start=None,
        total_end=None,
        requests=sum(each.opened.requests for each in results),
        retries=0,
        bytes=sum(each.layout.bytes for each in results),
        seconds=round(seconds, 3),
        readings=1,
        revision=_joined([each.layout.revision for each in results]),
        server_time=age.written,
        age=age,
        unlisted_orgs=sum(each.tally.references.unlisted for each in results),
        respelled_orgs=sum(each.tally.references.respelled for each in results),
        unclear_dates=sum(each.tally.unclear_dates for each in results),
    )


def _age(newest: DatedBundle, bundles: Sequence[DatedBundle], last: LastRead | None, bulk: Sequence[str]) -> SourceAge:
    """newest: of those that were read. bulk: fingerprints of the bulk bundles that were read."""
    before = [last.newest.timestamp()] if last is not None and last.newest is not None else []
    latest = max([*before, *([] if newest.ahead else [newest.written])], default=None)
    return SourceAge(
        written=_iso(newest.written),
        hours_ahead=round((newest.bundle.stated - newest.first_seen) / 3600, 1) if newest.ahead else 0.0,
        newest=None if latest is None else _iso(latest),
        marks={bundle.bundle.mark: bundle.first_seen for bundle in bundles[:MARKS_KEPT]},
        bulk=_joined(bulk) if bulk else None,
    )


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _joined(revisions: Sequence[str]) -> str:
    """One fingerprint of several."""
    return revisions[0] if len(revisions) == 1 else hashlib.sha256("\n".join(revisions).encode()).hexdigest()
