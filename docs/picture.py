"""Draw the pictures of the Dagster UI and of the console in `docs/pictures/`, on the data of the last `make demo`.

With `--look FOLDER` it draws the pages of the console into that folder instead, each in light, dark, on a phone and in
print, so that somebody can look at them after a change.

Needs `pip install -e '.[browser]'` and a Chromium (CHROMIUM, default /usr/bin/chromium). Run: make picture
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Error, Page, sync_playwright

from roster_pipeline.runtime.embedded import prepare_environment
from roster_pipeline.settings.installation import project_root

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PICTURES = Path(__file__).parent / "pictures"
SCHOOL, DISTRICT = "lincoln-high", "riverbend"
MANAGER = "manager@riverbend.example"
WIDE: Any = {"width": 1440, "height": 900}
PAGE: Any = {"width": 1100, "height": 760}
PHONE: Any = {"width": 390, "height": 780}
LOOKS: dict[str, Any] = {
    "light": {"viewport": WIDE},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE},
    "print": {"viewport": PAGE},
}
SETTLE = 4_000
"""Milliseconds for the Dagster UI to finish drawing: it fetches in several rounds."""
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main(look: Path | None) -> None:
    """Start the Dagster UI and the console, walk through their pages, end them.

    look: where to draw all pages of the console instead.
    """
    prepare_environment()
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        if look:
            draw_everything(browser, look)
        else:
            draw_dagster(browser)
            draw_console(browser)
        browser.close()


def draw_dagster(browser: Browser) -> None:
    """The assets of one school's sync."""
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    workspace = str(project_root() / "workspace.yaml")
    with _serving(f"{base}/server_info", "dagster_webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(port)):
        page = browser.new_page(viewport=WIDE)
        page.goto(f"{base}/locations/__repository__@roster_pipeline/asset-groups/rostering/lineage")
        page.wait_for_timeout(SETTLE)
        _draw(page, "assets")


def draw_console(browser: Browser) -> None:
    """What a district's manager sees: light, dark, and on a phone."""
    with _console(browser) as (page, base):
        _draw(page, "console")
        page.goto(f"/schools/{SCHOOL}/settings/connection")
        _draw(page, "console-settings")
        page.goto(f"/schools/{SCHOOL}/people")
        _draw(page, "console-people")
        page.locator('a[href^="/people/"]').first.click()
        page.wait_for_url(f"{base}/people/*")
        _draw(page, "console-person")
        page.goto(f"/schools/{SCHOOL}")
        history = page.url
        page.goto(f"/schools/{SCHOOL}/holds")
        _draw(page, "console-hold")
        dark = browser.new_context(
            viewport=PHONE, base_url=base, color_scheme="dark", storage_state=page.context.storage_state()
        )
        page = dark.new_page()
        page.goto(history)
        _draw(page, "console-phone")


def draw_everything(browser: Browser, folder: Path) -> None:
    """One page of each kind that links lead to, in each of `LOOKS`."""
    folder.mkdir(parents=True, exist_ok=True)
    with _console(browser) as (page, base):
        found: dict[str, str] = {}
        waiting = ["/"]
        while waiting:
            path = waiting.pop(0)
            kind = re.sub(r"\d+", "N", path.partition("?")[0]).replace(f"/schools/{SCHOOL}", "/schools/KEY")
            kind = re.sub("^/sis/.*", "/sis/NAME", kind)
            other_school = kind.startswith("/schools/") and not kind.startswith(("/schools/KEY", "/schools/new"))
            if kind in found or other_school or kind.endswith((".csv", "/oidc")):
                continue
            try:
                answer = page.goto(path)
            except Error:  # a file to download
                continue
            if answer is None or "html" not in answer.headers.get("content-type", ""):
                continue
            found[kind] = path
            links = page.eval_on_selector_all("a[href^='/']", "all => all.map(one => one.getAttribute('href'))")
            waiting += [link.partition("#")[0] for link in links if not link.startswith("/static")]
        for name, options in LOOKS.items():
            window = browser.new_context(base_url=base, storage_state=page.context.storage_state(), **options)
            drawn = window.new_page()
            drawn.emulate_media(media="print" if name == "print" else "screen")
            for kind, path in found.items():
                drawn.goto(path)
                drawn.screenshot(
                    path=folder / f"{kind.strip('/').replace('/', '-') or 'schools'}-{name}.png", full_page=True
                )
        print(f"{len(found)} pages in {folder}")


@contextmanager
def _console(browser: Browser) -> Iterator[tuple[Page, str]]:
    """The console on the demo's data: a page of it, in which a manager is signed in, and its address."""
    port = _free_port()
    base = os.environ["ROSTER_CONSOLE_URL"] = f"http://127.0.0.1:{port}"
    with _serving(f"{base}/health", "roster_pipeline.cli", "console", "--port", str(port)), _manager() as link:
        page = browser.new_context(viewport=PAGE, base_url=base).new_page()
        page.goto(link)
        page.get_by_role("button").first.click()
        page.wait_for_url(f"{base}/")
        yield page, base


@contextmanager
def _manager() -> Iterator[str]:
    """A link that signs a manager of the demo's district in; afterwards there is no such manager."""
    _roster("grant", MANAGER, "--district", DISTRICT)
    try:
        yield _roster("link", MANAGER).split()[-1]
    finally:
        _roster("revoke", MANAGER, "--all")


def _roster(*arguments: str) -> str:
    command = [sys.executable, "-m", "roster_pipeline.cli", "access", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def _serving(alive: str, *module: str) -> Iterator[None]:
    """A server of ours, from its first answer on."""
    server = subprocess.Popen([sys.executable, "-m", *module])
    try:
        _wait(alive)
        yield
    finally:
        server.terminate()
        server.wait(20)


def _draw(page: Page, name: str) -> None:
    target = PICTURES / f"{name}.png"
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
            pass
        time.sleep(0.5)
    raise TimeoutError(f"{address} did not answer")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--look", type=Path, metavar="FOLDER")
    main(parser.parse_args().look)
