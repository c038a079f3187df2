"""Processes forked from one that has loaded everything: their start, their end, and a lost host."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from roster_pipeline.runtime import preloaded
from roster_pipeline_tests.waiting import until

pytestmark = pytest.mark.timeout(300)
PR_SET_CHILD_SUBREAPER = 36
SAID = "ROSTER_TEST_SAID"
CHOSEN = "roster_pipeline.cleaning.quality_suite"
"""The module that a host of these tests loads."""


def main(what: str, path: str = "") -> int:
    """The task that a test gives a process."""
    if what == "tell":
        Path(path).write_text(
            f"{os.environ[SAID]} {CHOSEN in sys.modules} {os.getsid(0) == os.getpid()} {os.getppid()}", "ascii"
        )
        return 3
    if what == "wait":
        time.sleep(60)
    raise RuntimeError(what)


@pytest.fixture(autouse=True)
def own_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(preloaded, "_host", None)
    yield
    if preloaded._host is not None:
        preloaded._host.close()


def start(what: str, path: Path | str = "", said: str = "nothing") -> preloaded.Started:
    return preloaded.start(__name__, [what, str(path)], {**os.environ, SAID: said}, [CHOSEN, "pyarrow"])


def came_up(started: preloaded.Started) -> int:
    return until(lambda: started.pid)


def test_a_process_has_everything_loaded_and_its_own_environment_and_session(tmp_path: Path) -> None:
    first, second = start("tell", tmp_path / "first", "one"), start("tell", tmp_path / "second", "two")
    assert (first.wait(), second.wait()) == (3, 3)
    told = [(tmp_path / name).read_text("ascii").split() for name in ("first", "second")]
    assert [words[:3] for words in told] == [["one", "True", "True"], ["two", "True", "True"]]
    assert told[0][3] == told[1][3], "both from one host"
    assert psutil.Process(int(told[0][3])).num_threads() == 1, "a fork copies the locks of all threads, but only one"
    assert start("fail").wait() == 1
    assert preloaded.start("no.such.module", [], os.environ).wait() == 1


def test_a_process_that_takes_too_long_can_be_killed() -> None:
    started = start("wait")
    with pytest.raises(TimeoutError):
        started.wait(0.01)
    started.kill()
    assert started.wait(60) == -signal.SIGKILL


def test_a_killed_process_is_noticed_and_the_others_go_on(tmp_path: Path) -> None:
    killed, other = start("wait"), start("tell", tmp_path / "other")
    os.kill(came_up(killed), signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert other.wait() == 3


@pytest.fixture
def no_init() -> Iterator[None]:
    """Orphans come to this process, which does not ask how they ended, as the first process of a container."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")
@pytest.mark.usefixtures("no_init")
def test_a_lost_host_is_replaced_and_its_processes_are_waited_for(tmp_path: Path) -> None:
    left = start("wait")
    pid = came_up(left)
    host = psutil.Process(pid).parent()
    assert host is not None
    host.kill()
    host.wait()
    assert start("tell", tmp_path / "next").wait() == 3
    assert psutil.pid_exists(pid)
    os.kill(pid, signal.SIGKILL)
    assert left.wait() is None
    os.waitpid(pid, 0)


def test_a_host_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert start("tell").wait() is None


def test_a_host_is_replaced_when_the_code_on_the_disk_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start("tell", tmp_path / "before").wait() == 3
    monkeypatch.setattr(preloaded, "_code_on_disk", lambda: (0, 0))
    assert start("tell", tmp_path / "after").wait() == 3
    before, after = ((tmp_path / name).read_text("ascii").split()[3] for name in ("before", "after"))
    assert before != after
    until(lambda: not psutil.pid_exists(int(before)), 30, lambda: "the old one ends once nobody needs it")
