"""Draw the pictures of the Dagster UI in `docs/pictures/`, on the data of the last `make demo`.

Needs `pip install -e '.[browser]'` and a Chromium (CHROMIUM, default /usr/bin/chromium). Run: make picture
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from roster_pipeline.embedded import prepare_environment, project_root

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PICTURES = Path(__file__).parent / "pictures"
SCHOOL = "lincoln-high"
SIZE = {"width": 1440, "height": 900}
SETTLE = 4_000
"""Milliseconds for the UI to finish drawing: it fetches in several rounds."""
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LAST_RUN = (
    '{ runsOrError(limit: 1, filter: {tags: [{key: "dagster/partition", value: "%s"}]})'
    " { ... on Runs { results { id } } } }"
)


def main() -> None:
    """Start the UI, walk through its pages, end it."""
    prepare_environment()
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(project_root() / "workspace.yaml")]
    server = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)])
    try:
        _wait(f"{base}/server_info")
        answer = httpx.post(f"{base}/graphql", json={"query": LAST_RUN % SCHOOL}, timeout=30).json()
        run_id = answer["data"]["runsOrError"]["results"][0]["id"]
        pages = {
            "assets": "/asset-groups/~/lineage",
            "partition": f"/assets/applied_changes?view=partitions&partition={SCHOOL}",
            "run": f"/runs/{run_id}",
            "check": "/assets/roster_diff?view=checks",
        }
        PICTURES.mkdir(exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            for name, path in pages.items():
                _draw(page, f"{base}{path}", PICTURES / f"{name}.png")
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def _draw(page: Page, address: str, target: Path) -> None:
    page.goto(address)
    page.wait_for_load_state("load")
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=target)
    print(target)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(address: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise TimeoutError("the Dagster UI did not start")


if __name__ == "__main__":
    main()
