"""Pulling and storing a whole district, against a plain httpx loop that only downloads and decodes.

    python benchmarks/extract.py [--users 200000] [--rounds 5]

Ours is `pull` into `pulls.store` and `finish`: signed in, pages proved complete, every record normalised, committed in
PostgreSQL. The plain loop requests the same pages of the same size one after the other and decodes them, once with
`json` (as `response.json()` does) and once with `orjson`; it checks nothing and keeps nothing. They take turns against
a simulator in a process of its own; each is a fresh process that starts its clock after its imports.

Two servers are measured: one that makes each page on request, as any SIS does, and one that has every page ready in
memory, so nothing waits. The ratios are those of the medians, ours to the loop with `orjson`, the faster one; `ratio`
is the first server's, `ratio_from_memory` the second's.

The peak memory of ours is printed for a tenth of the users as well: it is bounded by pages, not by the district.
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

from roster_pipeline.directory import pulls, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.frames import infrequent_collection
from roster_pipeline.oneroster import Wanted, pull
from roster_pipeline.oneroster.records.known_users import KnownUsers
from roster_pipeline.simulator.person import Layout
from roster_pipeline.sync.fetch_strategy import client_of

STUDENTS = 1000
"""Students a school of the simulated district."""
AIM = 1.3
DECODERS: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "orjson": orjson.loads}
SERVERS = {"making its pages": False, "pages in memory": True}
"""The two servers: faults of the simulator, and its room for finished pages."""

Rounds = dict[str, list[dict[str, Any]]]


@infrequent_collection()
def ours(url: str) -> dict[str, Any]:
    """Pull and store once, as a night's fetch does."""
    database = Database(url)
    with database.begin() as conn:
        connection = tenants.get_connection(conn, common.CONNECTION)
        pull_id, _ = pulls.claim(conn, connection, "benchmark")
    started, work = time.perf_counter(), common.work(database.engine.url)
    with client_of(connection) as client:
        known = KnownUsers()
        pulled = pull(client, Wanted(contacts=True), known)
        pulled.into(lambda batches: pulls.store(database, pull_id, batches, known))
        with database.begin() as conn:
            pulls.finish(conn, pull_id, pulled.proof.as_dict())
    database.close()
    seconds, cpu = time.perf_counter() - started, work.so_far()["all"]
    proof = pulled.proof
    assert proof.complete, proof.problems
    return {"records": proof.records, "megabytes": proof.bytes / common.BYTES_PER_MB, "seconds": seconds, "cpu": cpu}


def plain(site: str, decoder: str) -> dict[str, Any]:
    """Download and decode once."""
    decode = DECODERS[decoder]
    started, worked = time.perf_counter(), time.process_time()
    records = sum(len(decode(page)["users"]) for page in common.pages_of(site))
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    return {"records": records, "seconds": seconds, "cpu": cpu}


def our_side(site: str, server: URL) -> dict[str, Any]:
    """Ours in a process of its own, into a fresh database."""
    with common.fresh_database(server, "benchmark_extract") as url:
        database = Database(url)
        common.prepare(database, site + common.ROOT)
        database.close()
        address = url.render_as_string(hide_password=False)
        return common.side("extract.py", "--side", "ours", "--site", site, "--database", address)


def measure(site: str, server: URL, rounds: int) -> Rounds:
    """Every side of every round, in an order that turns around."""
    common.warm(site)
    found: Rounds = {"ours": [], "json": [], "orjson": []}
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        "ours": lambda: our_side(site, server),
        "json": lambda: common.side("extract.py", "--side", "json", "--site", site),
        "orjson": lambda: common.side("extract.py", "--side", "orjson", "--site", site),
    }
    for number in range(rounds):
        for name in sorted(sides, reverse=bool(number % 2)):
            found[name].append(sides[name]())
        shown = ", ".join(f"{name} {found[name][-1]['seconds']:.2f} s" for name in found)
        print(f"  round {number + 1}: {shown}; load {common.load()}", flush=True)
    return found


def report(found: Rounds) -> dict[str, float]:
    """Print one server's table; gives its medians and ratios."""
    print(f"  {'':<20} {'median s':>9} {'CPU s':>7} {'peak MB':>8}")
    for name, label in {"ours": "pull and store", "json": "plain, json", "orjson": "plain, orjson"}.items():
        figures = [common.median(found[name], each) for each in ("seconds", "cpu", "peak")]
        print("  {:<20} {:>9.2f} {:>7.2f} {:>8.0f}".format(label, *figures))
    seconds = {name: common.median(rounds, "seconds") for name, rounds in found.items()}
    ratio, ratio_json = (seconds["ours"] / seconds[decoder] for decoder in ("orjson", "json"))
    print(f"  ratio to orjson {ratio:.2f} (aim {AIM} or less), to json {ratio_json:.2f}")
    ratio_cpu = common.median(found["ours"], "cpu") / common.median(found["orjson"], "cpu")
    print(f"  ratio of CPU seconds, PostgreSQL's with ours and the simulator's with none, {ratio_cpu:.2f}")
    return {"ratio": ratio, "ratio_cpu": ratio_cpu, "ratio_json": ratio_json} | {
        f"{name}_seconds": took for name, took in seconds.items()
    }


def main() -> None:
    """Run all sides in turn, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=("ours", *DECODERS), help=argparse.SUPPRESS)
    parser.add_argument("--site", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        figures = ours(given.database) if given.side == "ours" else plain(given.site, given.side)
        print(json.dumps(figures | {"peak": common.peak_megabytes()}))
        return
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    schools = max(1, round(given.users / Layout(1, STUDENTS).block))
    districts = {"large": (schools, STUDENTS), "small": (max(1, schools // 10), STUDENTS)}
    figures = []
    with common.database_server() as server:
        for label, keep_pages in SERVERS.items():
            print(f"simulator {label}")
            with common.simulator(keep_pages, **districts) as sites:
                found = measure(sites["large"], server, given.rounds)
                figures.append(report(found))
                small = our_side(sites["small"], server)
    one, peak = found["ours"][0], common.median(found["ours"], "peak")
    print(f"{one['records']:,} users, {one['megabytes']:.0f} MB of JSON in pages of {common.PAGE:,}")
    print(
        f"peak memory of pull and store: {small['peak']:.0f} MB for {small['records']:,} users, {peak:.0f} MB for all"
    )
    making, ready = figures
    common.last_line(
        "extract", users=one["records"], **making, ratio_from_memory=ready["ratio"],
        ours_seconds_from_memory=ready["ours_seconds"], orjson_seconds_from_memory=ready["orjson_seconds"],
        peak_mb=peak, users_tenth=small["records"], peak_mb_tenth=small["peak"], load=common.load(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
