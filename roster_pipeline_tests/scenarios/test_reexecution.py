"""Runs re-executed in Dagster's UI, asked for through GraphQL of its own webserver, with its own instance."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import uvicorn
import yaml
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from roster_pipeline.directory import audit, tenants
from roster_pipeline.runtime.run_school import run_school
from roster_pipeline.runtime.webserver import guarded_app, rules_from
from roster_pipeline.settings.installation import WebAddresses
from roster_pipeline_tests.district import SECRET, District

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0
REEXECUTE = """
mutation ($run: String!, $strategy: ReexecutionStrategy!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: $strategy}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""


class UI:
    """Dagster's webserver of this project."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self.url = url
        self.instance = instance

    def reexecute(self, run_id: str, strategy: str) -> dg.DagsterRun:
        """Press the button, and wait for the end of the new run."""
        given = {"query": REEXECUTE, "variables": {"run": run_id, "strategy": strategy}}
        answer = httpx.post(f"{self.url}/graphql", json=given, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        launched: dict[str, Any] = answer.json()["data"]["launchRunReexecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = self.instance.get_run_by_id(launched["run"]["runId"])
        assert run is not None
        assert run.is_finished, "it was run before the answer"
        return run


class InThisProcess(SyncInMemoryRunLauncher):
    """Runs in this process, and in a thread without the webserver's loop."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Run it, and wait."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(super().launch_run, context).result()


@pytest.fixture
def ui(district: District, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[UI]:
    """The webserver over the shipped workspace. There is no daemon: runs are not queued, and run in this process."""
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    settings["run_coordinator"] = {
        "module": "dagster._core.run_coordinator.default_run_coordinator",
        "class": "DefaultRunCoordinator",
    }
    del settings["concurrency"]
    settings["run_launcher"] = {"module": __name__, "class": InThisProcess.__name__}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    given = {
        "DAGSTER_HOME": str(tmp_path),
        "ROSTER_HOME": str(tmp_path),
        "ROSTER_DATABASE_URL": district.url,
        "ROSTER_DAGSTER_DATABASE_URL": dagster_url,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    target = WorkspaceFileTarget([str(ROOT / "workspace.yaml")])
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, version="test", workspace_load_target=target) as context,
    ):
        server = uvicorn.Server(
            uvicorn.Config(guarded_app(context, rules_from(WebAddresses())), port=0, log_level="error")
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield UI(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", instance)
        server.should_exit = True
        thread.join()
        registry = context._grpc_server_registry
    registry.wait_for_processes()


def test_runs_of_every_kind_are_reexecuted_and_never_bring_old_data_back(ui: UI, district: District) -> None:
    district.add_school("lincoln")
    school = district.database.call(tenants.get_school, "lincoln")
    district.database.call(audit.record_run, "11111111-1111-4111-8111-111111111111", "sync", school, who="Ada")
    student = district.people.people_of("sch-1", "student")[0].sourced_id
    old = run_school("lincoln", night="2026-09-01")
    district.people.rename(student, given_name="Newest")
    asked = run_school("lincoln", run_id="11111111-1111-4111-8111-111111111111")
    assert (old.problem, asked.problem) == (None, None)
    assert district.count("person", "given_name = 'Newest'") == 1

    again = ui.reexecute(old.run_id, "ALL_STEPS")
    assert again.status == dg.DagsterRunStatus.SUCCESS
    assert again.tags["roster/night"] == "2026-09-01", "the tag is copied"
    assert district.count("person", "given_name = 'Newest'") == 1, "and not believed"
    assert district.count("pull", f"batch = '{again.run_id}'") == 1

    by_ui = ui.reexecute(asked.run_id, "ALL_STEPS")
    assert by_ui.status == dg.DagsterRunStatus.SUCCESS
    assert district.count("sync", f"run_id = '{asked.run_id}' and who = 'Ada'") == 1
    for run in (again, by_ui):
        assert district.count("sync", f"run_id = '{run.run_id}' and who = 'Dagster UI'") == 1


def test_a_run_that_failed_is_reexecuted_from_its_failure(ui: UI, district: District) -> None:
    district.add_school("lincoln")
    district.set_connection(secret="wrong")
    failed = run_school("lincoln")
    assert failed.problem is not None
    district.set_connection(secret=SECRET)
    mended = ui.reexecute(failed.run_id, "FROM_FAILURE")
    assert mended.status == dg.DagsterRunStatus.SUCCESS
    assert district.count("sync", f"run_id = '{mended.run_id}' and who = 'Dagster UI' and outcome = 'applied'") == 1
    assert district.active() > 0
