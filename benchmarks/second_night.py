"""The cost of a night of a large school, stage by stage, against a plain loop that downloads and decodes.

    python benchmarks/second_night.py [--people 50000] [--changed 0.01] [--rounds 3]

Ours fetches, cleans, plans and applies through the functions that the assets call, without Dagster. The first night
loads everybody and is not counted. Then a share of the people changes (half get another name, a quarter join, a quarter
leave), and the second night is measured. It still plans everybody, because everybody changed in the first one. The same
follows again as a usual night, and then two nights without any change: only the second one takes over its plan. The
plain loop downloads the same pages of the same simulator one after the other, decodes them with orjson and keeps
nothing.

Each side is a fresh process. CPU seconds are those of the process (`own`) and of the PostgreSQL server (`server`);
other work on the machine hardly changes them. `ratio` is that of all CPU seconds of a night to the plain loop's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import common
import orjson
from sqlalchemy.engine import URL

from roster_pipeline import sync
from roster_pipeline.directory.database import Database

PEOPLE = 50_000
CHANGED = 0.01
AIM = 2.5
STAGES = ("fetch", "clean", "plan", "apply")
CHANGING = ("second", "usual")
NIGHTS = (*CHANGING, "unchanged", "again")


def changes(people: int, share: float) -> dict[str, int]:
    """The changes of one night: joiners, leavers and other names."""
    some = int(people * share / 4)
    return {"joiners": some, "leavers": some, "renames": 2 * some}


def night(database: Database, batch: str) -> dict[str, dict[str, float]]:
    """One night: for each stage and for `all`, seconds by the clock, CPU seconds of ours and of the server."""
    stages: dict[str, Callable[[], Any]] = {
        "fetch": lambda: sync.fetch(database, common.SCHOOL, batch=batch, run_id=batch),
        "clean": lambda: sync.clean_latest(database, common.SCHOOL, run_id=batch),
        "plan": lambda: sync.plan_latest(database, common.SCHOOL, run_id=batch),
        "apply": lambda: sync.apply_latest(database, common.SCHOOL, run_id=batch, who="benchmark"),
    }
    found: dict[str, dict[str, float]] = {}
    for name, stage in stages.items():
        started, work = time.perf_counter(), common.work(database.engine.url)
        result = stage()
        cpu = work.so_far()
        found[name] = {"seconds": time.perf_counter() - started, "own": cpu["own"], "server": cpu["server"]}
    assert result.changed or batch not in CHANGING, result
    found["all"] = {each: sum(stage[each] for stage in found.values()) for each in ("seconds", "own", "server")}
    return found


def ours(site: str, url: str, people: int, share: float) -> dict[str, Any]:
    """Five nights of one school; the first does not count."""
    import great_expectations  # noqa: F401 - loaded once a process, whatever it does afterwards

    database = Database(url)
    night(database, "first")
    nights = {}
    for name in NIGHTS:
        if name in CHANGING:
            common.control(site, "day", changes(people, share))
            common.warm(site)
        nights[name] = night(database, name)
    database.close()
    return nights | {"peak": common.peak_megabytes()}


def plain(site: str) -> dict[str, Any]:
    """Download and decode once."""
    started, worked = time.perf_counter(), time.process_time()
    records = sum(len(orjson.loads(page)["users"]) for page in common.pages_of(site))
    return {"records": records, "seconds": time.perf_counter() - started, "cpu": time.process_time() - worked}


def our_side(site: str, server: URL, people: int, share: float) -> dict[str, Any]:
    """Ours in a process of its own, into a fresh database."""
    with common.fresh_database(server, "benchmark_second_night") as url:
        database = Database(url)
        common.prepare(database, site + common.ROOT)
        database.close()
        address = url.render_as_string(hide_password=False)
        arguments = ("--site", site, "--database", address, "--people", str(people), "--changed", str(share))
        return common.side("second_night.py", "--side", "ours", *arguments)


def report(found: list[dict[str, Any]], loops: list[dict[str, Any]]) -> dict[str, float]:
    """Print the table of medians; gives the figures."""
    loop = {each: common.median(loops, each) for each in ("seconds", "cpu")}
    print(f"  {'':<26} {'s':>7} {'CPU own':>8} {'server':>8} {'ratio':>6}")
    print(f"  {'plain loop, orjson':<26} {loop['seconds']:>7.2f} {loop['cpu']:>8.2f} {'-':>8} {1:>6.2f}")
    figures = {"plain_seconds": loop["seconds"], "plain_cpu": loop["cpu"]}
    for name in NIGHTS:
        for stage in (*STAGES, "all"):
            rounds = [one[name][stage] for one in found]
            seconds, own, server = (common.median(rounds, each) for each in ("seconds", "own", "server"))
            ratio = (own + server) / loop["cpu"]
            print(f"  {name + ', ' + stage:<26} {seconds:>7.2f} {own:>8.2f} {server:>8.2f} {ratio:>6.2f}")
            figures |= {f"{name}_{stage}_seconds": seconds, f"{name}_{stage}_cpu": own + server}
    return figures


def main() -> None:
    """Run both sides in turn, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--changed", type=float, default=CHANGED)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--site", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        one_side = plain(given.site) if given.side == "plain" else None
        print(json.dumps(one_side or ours(given.site, given.database, given.people, given.changed)))
        return
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    school = (1, common.students_for(given.people))
    found: list[dict[str, Any]] = []
    loops: list[dict[str, Any]] = []
    with common.database_server() as server, common.simulator(True, school=school) as sites:
        for number in range(given.rounds):
            common.control(sites["school"], "reset")
            common.warm(sites["school"])
            loops.append(common.side("second_night.py", "--side", "plain", "--site", sites["school"]))
            found.append(our_side(sites["school"], server, given.people, given.changed))
            print(
                f"  round {number + 1}: {found[-1]['usual']['all']['seconds']:.2f} s; load {common.load()}", flush=True
            )
    figures = report(found, loops)
    people, peak = loops[0]["records"], common.median(found, "peak")
    second, usual, unchanged, again = (figures[f"{name}_all_cpu"] / figures["plain_cpu"] for name in NIGHTS)
    print(
        f"{given.people:,} people, {people:,} users with guardians, {given.changed:.1%} changed; {peak:.0f} MB at most"
    )
    print(
        f"ratio of CPU seconds {second:.1f}, usual night {usual:.1f}, without changes {unchanged:.1f}, {again:.1f} "
        f"(aim {AIM})"
    )
    common.last_line(
        "second_night", people=given.people, users=people, changed=given.changed, ratio_cpu=second,
        ratio_cpu_usual=usual, ratio_cpu_unchanged=unchanged, ratio_cpu_again=again,
        ratio=figures["usual_all_seconds"] / figures["plain_seconds"], **figures, peak_mb=peak, load=common.load(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
