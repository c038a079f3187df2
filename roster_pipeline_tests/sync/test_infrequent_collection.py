"""After the block, the garbage collector of the process is as before, whatever happened."""

import gc

import pytest

from roster_pipeline.frames import SELDOM, infrequent_collection


def test_cycles_are_looked_for_less_often_within() -> None:
    before = gc.get_threshold()
    with infrequent_collection():
        assert gc.get_threshold() == (max(SELDOM, before[0]), *before[1:])
    assert gc.get_threshold() == before


def test_a_failure_leaves_the_collector_as_it_was() -> None:
    before = gc.get_threshold()

    @infrequent_collection()
    def failing() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert gc.get_threshold() == before
