"""Pulling and storing a whole district, against a plain httpx loop that only downloads and decodes.

    python benchmarks/extract.py [--users 200000] [--rounds 5]

Ours is `pull` into `pulls.store` and `finish`: signed in, pages proved complete, every record normalised, committed in
PostgreSQL. The plain loop asks for the same pages of the same size one after the other and decodes them, once with
`json` (as `response.json()` does) and once with `orjson`; it checks nothing and keeps nothing. All of them take turns
against one simulator in a process of its own that serves its pages from memory; each is a fresh process that starts its
clock after its imports. The ratio is that of the medians, ours to the loop with `orjson`, the faster of the two.

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
from roster_pipeline.evening.connecting import client_of
from roster_pipeline.oneroster import Wanted, pull
from roster_pipeline.simulator.layout import Layout

STUDENTS = 1000
"""Students a school of the simulated district."""
AIM = 1.3
DECODERS: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "orjson": orjson.loads}


def ours(site: str, url: str) -> dict[str, Any]:
    """Pull and store once."""
    database = Database(url)
    with database.begin() as conn:
        connection = tenants.get_connection(conn, common.CONNECTION)
        pull_id, _ = pulls.claim(conn, connection, f"batch {time.time_ns()}")
    started, worked = time.perf_counter(), time.process_time()
    with client_of(connection) as client:
        pulled = pull(client, Wanted(contacts=True))
        pulled.into(lambda batches: pulls.store(database, pull_id, batches))
        with database.begin() as conn:
            pulls.finish(conn, pull_id, pulled.proof.as_dict())
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    proof = pulled.proof
    assert proof.complete, proof.problems
    return {"records": proof.records, "megabytes": proof.bytes / common.BYTES_PER_MB, "seconds": seconds, "cpu": cpu}


def plain(site: str, decoder: str) -> dict[str, Any]:
    """Download and decode once."""
    decode = DECODERS[decoder]
    started, worked = time.perf_counter(), time.process_time()
    records = sum(len(decode(page)["users"]) for page in common.pages_of(site))
    return {
        "records": records,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - worked,
    }


def measure(sites: dict[str, str], server: URL, rounds: int) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Every side of every round on the large district, and ours on the small one."""
    common.warm(sites["large"])
    common.warm(sites["small"])
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "json": [], "orjson": []}
    small = _our_side(sites["small"], server)
    for number in range(rounds):
        sides: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": lambda: _our_side(sites["large"], server),
            "json": lambda: common.side("extract.py", "--side", "json", "--site", sites["large"]),
            "orjson": lambda: common.side("extract.py", "--side", "orjson", "--site", sites["large"]),
        }
        for name in sorted(sides, reverse=bool(number % 2)):
            found[name].append(sides[name]())
        shown = ", ".join(f"{name} {found[name][-1]['seconds']:.2f} s" for name in found)
        print(f"round {number + 1}: {shown}; load {common.load()}", flush=True)
    return found, small


def _our_side(site: str, server: URL) -> dict[str, Any]:
    with common.fresh_database(server, "benchmark_extract") as url:
        database = Database(url)
        common.prepare(database, site + common.ROOT)
        database.close()
        address = url.render_as_string(hide_password=False)
        return common.side("extract.py", "--side", "ours", "--site", site, "--database", address)


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
        figures = ours(given.site, given.database) if given.side == "ours" else plain(given.site, given.side)
        print(json.dumps(figures | {"peak": common.peak_megabytes()}))
        return
    os.environ.setdefault("ROSTER_SECRET_KEY", common.new_key())
    schools = max(1, round(given.users / Layout(1, STUDENTS).block))
    districts = {"large": (schools, STUDENTS), "small": (max(1, schools // 10), STUDENTS)}
    with common.database_server() as server, common.simulator(**districts) as sites:
        found, small = measure(sites, server, given.rounds)
    report(found, small)


def report(found: dict[str, list[dict[str, Any]]], small: dict[str, Any]) -> None:
    """Print the table and the last line."""
    mine = found["ours"][0]
    print(f"\n{mine['records']:,} users, {mine['megabytes']:.0f} MB of JSON, pages of {common.PAGE:,}")
    print(f"{'':<24} {'median s':>9} {'CPU s':>7} {'peak MB':>8}")
    labels = {"ours": "pull and store", "json": "plain loop, json", "orjson": "plain loop, orjson"}
    for name, label in labels.items():
        figures = (common.median(found[name], each) for each in ("seconds", "cpu", "peak"))
        print("{:<24} {:>9.2f} {:>7.2f} {:>8.0f}".format(label, *figures))
    print(f"peak memory of pull and store for {small['records']:,} users: {small['peak']:.0f} MB")
    seconds = {name: common.median(rounds, "seconds") for name, rounds in found.items()}
    print(f"ratio to the loop with orjson {seconds['ours'] / seconds['orjson']:.2f} (aim {AIM} or less), "
          f"with json {seconds['ours'] / seconds['json']:.2f}")  # fmt: skip
    common.last_line(
        "extract", users=mine["records"], ours_seconds=seconds["ours"], plain_orjson_seconds=seconds["orjson"],
        plain_json_seconds=seconds["json"], ratio=seconds["ours"] / seconds["orjson"],
        ratio_json=seconds["ours"] / seconds["json"], peak_mb=common.median(found["ours"], "peak"),
        peak_mb_tenth=small["peak"], load=common.load(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
