"""A manager's day in a real browser: `python benchmarks/manager.py [SCHOOLS] [PEOPLE]`.

Real PostgreSQL, the console on loopback and Chromium: 3,000 schools with 60 nights behind them, and 100,000 people, all
of one district. It times the wait of the manager: from the click to the load event of the next page.

Needs `pip install -e '.[browser]'` and a Chromium (CHROMIUM, default /usr/bin/chromium).
"""

from __future__ import annotations

import argparse
import os
import time
from statistics import median

from common import database_server, fresh_database, last_line
from overview import fill, session_of
from people import FILL
from sqlalchemy import text

from roster_pipeline.console.app import create_app
from roster_pipeline.console.config import Config
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.simulator import running

SCHOOLS, PEOPLE, ROUNDS = 3_000, 100_000, 5


def main(schools: int, people: int) -> None:
    """Print the medians in milliseconds."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("This needs Playwright: pip install -e '.[browser]'") from None
    with database_server() as server, fresh_database(server, "bench_manager") as url:
        address = url.render_as_string(hide_password=False)
        database = Database(address)
        fill(database, schools)
        with database.begin() as conn:
            conn.execute(text(FILL), {"people": people, "schools": schools})
            district = conn.scalar(text("select id from district"))
        with database.session() as conn:
            conn.execute(text("analyze"))
        token, config = session_of(database, Place(district_id=district)), Config(database_url=address)
        with running(create_app(config)) as base, sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            window = browser.new_context(base_url=base)
            window.add_cookies([{"name": config.session_cookie, "value": token, "url": base}])
            page = window.new_page()

            def search(words: str) -> None:
                box = page.get_by_role("searchbox").first
                box.fill(words)
                with page.expect_navigation(wait_until="load"):
                    box.press("Enter")

            last = -(-people // 50)
            cases: dict[str, tuple[str, str]] = {
                "schools": ("/", ""),
                "last schools": (f"/?page={-(-schools // 50)}", ""),
                "search a school": ("/", f"School {schools - 1}"),
                "a school": ("/schools/school-1", ""),
                "district": ("/districts/district", ""),
                "people": ("/people?district=district", ""),
                "last people": (f"/people?district=district&page={last}", ""),
                "search a person": ("/people?district=district", "given12 family5"),
                "a person": (f"/people/{people // 2}", ""),
                "duplicates": ("/people/duplicates?district=district", ""),
                "holds": ("/holds?district=district", ""),
            }
            figures = {}
            for name, (path, words) in cases.items():
                took = []
                for _ in range(ROUNDS):
                    began = time.perf_counter()
                    answer = page.goto(path, wait_until="load")
                    assert answer is not None
                    assert answer.ok, path
                    if words:
                        began = time.perf_counter()
                        search(words)
                    took.append(time.perf_counter() - began)
                figures[name] = median(took) * 1000
                print(f"{name:>16}: {figures[name]:.0f} ms", flush=True)
            browser.close()
        database.close()
    last_line("manager", schools=schools, people=people, **{f"{name} ms": round(ms) for name, ms in figures.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schools", type=int, nargs="?", default=SCHOOLS)
    parser.add_argument("people", type=int, nargs="?", default=PEOPLE)
    arguments = parser.parse_args()
    main(arguments.schools, arguments.people)
