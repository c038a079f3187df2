"""The scripts in `benchmarks/` start, measure a tiny size, and report missing parts at once."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
PARTS = ("common", "cpu_work", "plant", "dlt_night")
"""The modules that the scripts import, and the dlt part, which needs an environment of its own."""
STARTS_PYTHON = pytest.mark.timeout(240)
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in PARTS)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / f"{script}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.filterwarnings("ignore")
def test_a_script_explains_its_options(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has loaded their imports."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(FOLDER / f"{script}.py"), run_name="__main__")
    assert "usage:" in capsys.readouterr().out


@STARTS_PYTHON
@pytest.mark.parametrize("script", ["clean", "diff"])
def test_a_script_without_a_database_measures_a_tiny_size(script: str) -> None:
    done = run(script, "500")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["people"] == 500


@STARTS_PYTHON
def test_the_night_of_many_schools_does_not_start_without_a_broker() -> None:
    done = run("night", "--broker", "amqp://guest:a-secret@127.0.0.1:9")
    assert done.returncode == 1
    lacking = done.stderr.splitlines()[-1]
    assert "No broker answers at amqp://guest:**@127.0.0.1:9" in lacking or "needs the extra celery" in lacking
    assert "a-secret" not in done.stderr


@STARTS_PYTHON
def test_the_comparison_with_dlt_refuses_an_interpreter_without_it() -> None:
    done = run("sync", "--dlt-python", sys.executable)
    assert done.returncode == 2
    assert "lacks a package of benchmarks/requirements.txt" in done.stderr
