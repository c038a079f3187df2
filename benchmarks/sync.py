"""A whole night of one school, end to end, against dlt doing extract and merge only.

    python benchmarks/sync.py [--people 2000 50000] [--rounds 3] [--dlt-python PATH]

dlt is in an environment of its own, `benchmarks/.dlt`, which the first run makes from `benchmarks/requirements.txt`.

Ours fetches, cleans, plans and applies, through the functions that the assets call: completeness proved, the roster's
quality tested, people matched, leavers confirmed one by one, the plan judged, applied with its ledger and reported. dlt
reads the same pages of the same simulator (by the REST source, following links) and merges them by sourcedId into the
same PostgreSQL server; it does nothing else. Both take turns, each as a fresh process with a fresh database. The clock
starts after the imports. Ours loads its steps and Great Expectations only when it needs them; here they are loaded
before, and that time is printed; the simulator serves its pages from memory.

The first night loads everybody. Before the second, 2 % of the school change: half of them get another name, a quarter
join, a quarter leave. `--people` counts students and staff; their guardians come on top, on both sides.

Three nights of ours follow without any change, the last through Dagster's job, which shows what its run adds. The first
of them still makes a plan, because of the people whom the second night changed; the others take it over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
from sqlalchemy.engine import URL

from roster_pipeline import sync
from roster_pipeline.directory.database import Database

AIM = 0.7
PEOPLE = (2_000, 50_000)
CHANGED = 0.02
MOST_HELD = 0.05
STEPS = ("fetch", "clean", "plan", "apply")
NIGHTS = ("first", "second")
DLT_ENVIRONMENT = Path(__file__).parent / ".dlt"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def made_dlt_python() -> str:
    """The interpreter of `benchmarks/.dlt`; makes that environment if it does not have today's requirements."""
    python, done = DLT_ENVIRONMENT / "bin" / "python", DLT_ENVIRONMENT / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if not done.exists() or done.read_text() != wanted:
        print(f"making {DLT_ENVIRONMENT} with dlt", flush=True)
        make = [sys.executable, "-m", "venv", "--clear", str(DLT_ENVIRONMENT)]
        install = [str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)]
        if any(subprocess.run(command, check=False).returncode for command in (make, install)):
            raise SystemExit(f"{DLT_ENVIRONMENT} could not be made (see above); name an interpreter with --dlt-python")
        done.write_text(wanted)
    return str(python)


def changes(people: int) -> dict[str, int]:
    """The changes of one night."""
    share = int(people * CHANGED / 4)
    return {"joiners": share, "leavers": share, "renames": 2 * share}


def night(database: Database, batch: str) -> dict[str, float]:
    """One night by hand: seconds of each step, and of all."""
    steps: dict[str, Callable[[], Any]] = {
        "fetch": lambda: sync.fetch(database, common.SCHOOL, batch=batch, run_id=batch),
        "clean": lambda: sync.clean_latest(database, common.SCHOOL, run_id=batch),
        "plan": lambda: sync.plan_latest(database, common.SCHOOL, run_id=batch),
        "apply": lambda: sync.apply_latest(database, common.SCHOOL, run_id=batch, who="benchmark"),
    }
    took: dict[str, float] = {}
    for name, step in steps.items():
        started = time.perf_counter()
        result = step()
        took[name] = time.perf_counter() - started
    # The simulator has few names, so of many people some seem to have changed places.
    assert result.outcome in ("applied", "unchanged", "held"), result
    assert result.by_action["held"] <= MOST_HELD * max(1, result.changed), result
    took["all"] = sum(took.values())
    took["changed"] = result.changed
    return took


def dagster_night(url: str) -> float:
    """One night as a run of the job, in this process; Dagster's own storage in memory."""
    import dagster as dg

    from roster_pipeline.definitions import build_defs
    from roster_pipeline.defs.resources import DirectoryResource

    job = build_defs(resource_overrides={"directory": DirectoryResource(url=url)}).resolve_job_def("rostering")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("schools", [common.SCHOOL])
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        started = time.perf_counter()
        assert job.execute_in_process(run_config=quiet, partition_key=common.SCHOOL, instance=instance).success
        return time.perf_counter() - started


def ours(site: str, url: str, people: int) -> dict[str, Any]:
    """All nights of ours."""
    started = time.perf_counter()
    import great_expectations  # noqa: F401 - loaded when a roster is tested for the first time

    for step in sync.STEPS:
        getattr(sync, step)
    loading = time.perf_counter() - started
    database = Database(url)
    work = common.work(database.engine.url)
    first = night(database, "night-1")
    first_work = work.so_far()
    common.control(site, "day", changes(people))
    common.warm(site)
    work = common.work(database.engine.url)
    second = night(database, "night-2")
    second_work = work.so_far()
    after_changes, quiet = (night(database, name)["all"] for name in ("night-3", "night-4"))
    database.close()
    return {
        "first": first["all"], "first_work": first_work["all"],
        "second": second["all"], "second_work": second_work["all"],
        "steps": [first, second], "loading": loading,
        "after_changes": after_changes, "quiet": quiet, "dagster": dagster_night(url),
    }  # fmt: skip


def our_side(site: str, server: URL, people: int) -> dict[str, Any]:
    """Ours in a process of its own."""
    with common.fresh_database(server, "benchmark_sync") as url:
        database = Database(url)
        common.prepare(database, site + common.ROOT)
        database.close()
        address = url.render_as_string(hide_password=False)
        return common.side("sync.py", "--site", site, "--database", address, "--people", str(people))


def dlt_side(site: str, server: URL, people: int, python: str, nesting: int | None) -> dict[str, Any]:
    """dlt in a process of its own. nesting: how deep lists become tables; 0 keeps them as JSON, None is its default."""
    with common.fresh_database(server, "benchmark_dlt") as url, tempfile.TemporaryDirectory() as folder:
        given = {
            "site": site, "root": common.ROOT, "client": common.CLIENT, "secret": common.SECRET, "folder": folder,
            "database": _for_dlt(url).render_as_string(hide_password=False),
            "day": json.dumps(changes(people)), "server": str(url.query.get("host", "")),
        }  # fmt: skip
        options = [text for name, value in given.items() for text in (f"--{name}", value)]
        if nesting is not None:
            options += ["--nesting", str(nesting)]
        return common.side("dlt_night.py", *options, python=python)


def _for_dlt(url: URL) -> URL:
    """dlt wants a host and a password, even if the real host is a folder in the query."""
    return url.set(drivername="postgresql", host=url.host or "localhost", password=url.password or "none")


def measure(site: str, server: URL, people: int, rounds: int, python: str) -> dict[str, list[dict[str, Any]]]:
    """All sides of all rounds, in an order that turns around."""
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        "ours": lambda: our_side(site, server, people),
        "dlt": lambda: dlt_side(site, server, people, python, None),
        "dlt flat": lambda: dlt_side(site, server, people, python, 0),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=bool(number % 2)):
            common.control(site, "reset")
            common.warm(site)
            found[name].append(sides[name]())
        shown = ", ".join(f"{name} {one[-1]['first']:.2f} + {one[-1]['second']:.2f} s" for name, one in found.items())
        print(f"  round {number + 1}: {shown}; load {common.load()}", flush=True)
    return found


def report(found: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Print one size's table; gives its medians and ratios."""
    took = {name: {each: common.median(one, each) for each in NIGHTS} for name, one in found.items()}
    print(f"  {'':<22} {'first night':>11} {'second night':>12} {'CPU, with PostgreSQL':>21}")
    labels = {"ours": "ours, end to end", "dlt": "dlt, lists as tables", "dlt flat": "dlt, lists as JSON"}
    for name, label in labels.items():
        cpu = " + ".join(f"{common.median(found[name], f'{each}_work'):.2f}" for each in NIGHTS)
        print(f"  {label:<22} {took[name]['first']:>9.2f} s {took[name]['second']:>10.2f} s {cpu:>19} s")
    for number, each in enumerate(NIGHTS):
        steps = [one["steps"][number] for one in found["ours"]]
        print(f"  ours, {each}: " + ", ".join(f"{step} {common.median(steps, step):.2f} s" for step in STEPS))
    others = {each: common.median(found["ours"], each) for each in ("after_changes", "quiet", "dagster", "loading")}
    print(
        "  nights without changes: {after_changes:.2f} s, then {quiet:.2f} s; as a Dagster run {dagster:.2f} s\n"
        "  loading the steps and Great Expectations, once a process: {loading:.2f} s".format(**others)
    )
    figures = {f"{name.replace(' ', '_')}_{each}": took[name][each] for name in took for each in NIGHTS}
    for name in ("dlt", "dlt flat"):
        for each in NIGHTS:
            figures[f"ratio_to_{name.replace(' ', '_')}_{each}"] = took["ours"][each] / took[name][each]
    ratios = [figures[f"ratio_to_{name}_{each}"] for name in ("dlt", "dlt_flat") for each in NIGHTS]
    print("  ratio to dlt {:.2f} and {:.2f}, with lists as JSON {:.2f} and {:.2f}".format(*ratios))
    for each in NIGHTS:
        work = {name: common.median(one, f"{each}_work") for name, one in found.items()}
        figures[f"cpu_ratio_{each}"] = work["ours"] / work["dlt"]
    print("  the same of CPU seconds {cpu_ratio_first:.2f} and {cpu_ratio_second:.2f}".format(**figures))
    return figures | others


def main() -> None:
    """Run both sides in turn, or be ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dlt-python", help="an interpreter that has dlt (default: made on the first run)")
    parser.add_argument("--people", type=int, nargs="+", default=list(PEOPLE))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--site", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.site:
        print(json.dumps(ours(given.site, given.database, given.people[0])))
        return
    python = given.dlt_python or made_dlt_python()
    if subprocess.run([python, "-c", "import dlt, orjson, psycopg2"], check=False).returncode:
        parser.error(f"{python} lacks a package of benchmarks/requirements.txt; without --dlt-python one is made")
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    sites = {f"school-{people}": (1, common.students_for(people)) for people in given.people}
    sizes = []
    with common.database_server() as server, common.simulator(True, **sites) as places:
        for people in given.people:
            print(f"{people:,} people")
            found = measure(places[f"school-{people}"], server, people, given.rounds, python)
            sizes.append({"people": people, **{name: round(value, 3) for name, value in report(found).items()}})
    worst = max(one[f"ratio_to_dlt_{each}"] for one in sizes for each in NIGHTS)
    worst_cpu = max(one[f"cpu_ratio_{each}"] for one in sizes for each in NIGHTS)
    print(f"largest ratio to dlt as it comes: {worst:.2f} (aim below {AIM}), of CPU seconds {worst_cpu:.2f}")
    common.last_line("sync", ratio=worst, ratio_cpu=worst_cpu, sizes=sizes, load=common.load())


if __name__ == "__main__":
    main()
