"""The one partition dimension: a school. Keys follow the table `school` and are never deleted by themselves."""

import logging
from collections.abc import Mapping, Sequence

import dagster as dg

from roster_pipeline.settings.installation import Places

PARTITION_TAG = "dagster/partition"
schools = dg.DynamicPartitionsDefinition(name="schools")


def partition_of(tags: Mapping[str, str]) -> str | None:
    """The school of a run. A run of a backfill names its one partition as a range, unless it came from a job."""
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return tags.get(PARTITION_TAG) or (first if first == last else None)


def add_partitions(keys: Sequence[str]) -> bool:
    """Give new schools their partitions now. False where that failed, or Dagster has no tables yet.

    Nothing is lost then: the sensor `partitions_follow_schools` adds what is missing.
    """
    from sqlalchemy.engine import make_url

    from roster_pipeline.runtime.embedded import plain_connection

    try:
        with plain_connection(make_url(Places.read().dagster_database_url)) as conn:
            found = conn.execute("select to_regclass('dynamic_partitions')").fetchone()
        if not found or found[0] is None:
            return False
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions(str(schools.name), list(keys))
    except Exception as problem:
        kind = type(problem).__name__  # the text may name a database's user and address
        logging.getLogger(__name__).warning("New schools get their partitions by the sensor, later: %s", kind)
        return False
    return True
