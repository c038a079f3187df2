"""The other side of sync.py, run by an interpreter that has dlt (requirements.txt) and knows nothing of this project.

Two nights of one school: all of `/users` page by page through dlt's REST source, merged into PostgreSQL by sourcedId.
Nothing is cleaned, compared, judged or archived. As dlt does by default, lists become tables of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import urllib.request
from typing import Any

import dlt
from cpu_work import Work
from dlt.sources.rest_api import rest_api_source

PAGE = 1000


def source(site: str, root: str, client: str, secret: str, nesting: int | None) -> Any:
    """`/users` by the links of its pages."""
    made = rest_api_source(
        {
            "client": {
                "base_url": f"{site}{root}/",
                "auth": {
                    "type": "oauth2_client_credentials",
                    "access_token_url": f"{site}/oauth/token",
                    "client_id": client,
                    "client_secret": secret,
                    "access_token_request_data": {
                        "scope": "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly"
                    },
                },
                "paginator": {"type": "header_link"},
            },
            "resources": [
                {
                    "name": "users",
                    "primary_key": "sourcedId",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "users",
                        "params": {"limit": PAGE, "sort": "sourcedId", "orderBy": "asc"},
                        "data_selector": "users",
                    },
                }
            ],
        }
    )
    made.max_table_nesting = nesting
    return made


def post(url: str, body: str) -> None:
    """Let the simulated night pass."""
    request = urllib.request.Request(url, body.encode(), method="POST")
    urllib.request.urlopen(request, timeout=600).close()


def main() -> None:
    """Both nights; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("site", "root", "client", "secret", "database", "folder", "day", "server"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--nesting", type=int, default=None)
    given = parser.parse_args()
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    pipeline = dlt.pipeline(
        "night",
        pipelines_dir=given.folder,
        dataset_name="people",
        destination=dlt.destinations.postgres(given.database),
    )
    nights = []
    for number in range(2):
        if number:
            post(f"{given.site}/simulator/day", given.day)
            warm(given)
        started, work = time.perf_counter(), Work(given.server)
        pipeline.run(source(given.site, given.root, given.client, given.secret, given.nesting))
        nights.append((time.perf_counter() - started, work.so_far()["all"]))
    counts = pipeline.last_trace.last_normalize_info.row_counts
    (first, first_work), (second, second_work) = nights
    print(json.dumps({
        "first": first, "second": second, "first_work": first_work, "second_work": second_work,
        "users": counts["users"],
    }))  # fmt: skip


def warm(given: argparse.Namespace) -> None:
    """Let the simulator make its pages anew, outside of the clock."""
    for _ in source(given.site, given.root, given.client, given.secret, 0).resources["users"]:
        pass


if __name__ == "__main__":
    main()
