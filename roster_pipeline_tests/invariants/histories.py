"""Runs the random histories of a proof: the same ones in every run, or with `ROSTER_PROOF` many more and other ones.

`ROSTER_PROOF=long`, or a number of histories, also reduces a failing history.
"""

import os
from collections import Counter
from collections.abc import Iterable
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

_WISH = os.environ.get("ROSTER_PROOF", "")
LONG = _WISH == "long"
EVERY = 1 if _WISH else 3
"""A comparison that costs as much as the night is made in every third night; with `ROSTER_PROOF`, in each."""


def histories(usual: int, most: int) -> int:
    """How many histories a proof runs: `usual` in every run of the tests, `most` with `ROSTER_PROOF=long`."""
    return most if LONG else int(_WISH or usual)


def run_histories(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Run this many histories of at most this many steps; fails at the first in which the two sides differ.

    Hypothesis would also draw constants of our modules, those that are loaded by then. So the histories would depend on
    which tests ran before.
    """
    with patch.object(providers, "_get_local_constants", Constants):
        providers.CONSTANTS_CACHE.cache.clear()
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize=not _WISH,
                print_blob=True,
                phases=(Phase.generate, Phase.shrink) if _WISH else (Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )


def assert_happened(seen: Counter[str], usual: Iterable[str], seldom: Iterable[str] = ()) -> None:
    """Assert that these events happened, because otherwise the proof does not test them. Rare events only in long
    proofs."""
    print(dict(seen))
    missing = sorted({*usual, *(seldom if LONG else ())} - set(+seen))
    assert not missing, f"these never happened: {missing}"
