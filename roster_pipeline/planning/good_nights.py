"""What a connection showed on its good nights and does not show tonight.

The totals and links of its lists are missed by the client, where they are read. Here is what only several nights tell:
how much a connection usually sends, and whether its SIS answered for single people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from roster_pipeline.cleaning.findings import ARCHIVE, Finding

HALF = 0.5
"""A connection that sends less than this share of its usual records shows us less than before."""
SINGLE_USERS = "single_users"
"""In the proof of a snapshot: whether the SIS answered for single people that night, where it was asked."""
GOOD_NIGHTS = 30
"""So many are looked back upon: people who leave, and with them the question for single people, may be weeks apart."""
_USUAL = 7


@dataclass(frozen=True)
class UnlikeBefore:
    """records and usual: what came tonight and what is usual, where that is more than twice as much; else 0.

    single_users_gone: the SIS answered for single people on good nights, and tonight it does so for nobody.
    """

    records: int = 0
    usual: int = 0
    single_users_gone: bool = False


def smaller(proof: Mapping[str, Any], good: Sequence[Mapping[str, Any]]) -> UnlikeBefore:
    """Compare tonight's proof with those of good nights, newest first, that were read in the same way.

    The newest counts as well as the median: a size that a person approved is usual from then on.
    """
    sizes = [int(one.get("records", 0)) for one in good if one.get("mode") == proof.get("mode")][:_USUAL]
    records = int(proof.get("records", 0))
    usual = int(min(median(sizes), sizes[0])) if sizes else 0
    if proof.get("mode") == "delta" or records >= HALF * usual:
        return UnlikeBefore()
    return UnlikeBefore(records, usual)


def misses_single_users(good: Sequence[Mapping[str, Any]], *, served_before: bool) -> bool:
    """Whether a night without answers for single people is unlike the good ones, newest first.

    A night without them that a person approved is good: from then on nobody misses them. served_before: what the
    connection remembers, where no night tells.
    """
    return next((bool(one[SINGLE_USERS]) for one in good if SINGLE_USERS in one), served_before)


def unlike_before(found: UnlikeBefore) -> Iterator[Finding]:
    """Archivals wait: what a connection no longer shows is not gone from the school."""
    if found.usual:
        message = f"The connection sent {found.records} records, {found.usual} are usual. What is shared with us?"
        yield Finding("unlike_before", message, found.records / found.usual, HALF, (ARCHIVE,))
    if found.single_users_gone:
        message = "The SIS answered for single people until now and does not tonight, so there is no second witness."
        yield Finding("unlike_before", message, 1, 0, (ARCHIVE,))
