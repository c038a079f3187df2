"""What the assets get handed. Plain objects that know nothing of Dagster come out of here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import dagster as dg

from roster_pipeline.settings.installation import Places

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

_OPEN: dict[str, Database] = {}
"""One connection pool per process and address: the runs of a warm worker share it."""
_OPENING = threading.Lock()
"""Held while the embedded database gets its schema: schedule and sensors ask for it in threads of one code server."""


class DirectoryResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The people directory. Without a URL: `ROSTER_DATABASE_URL`, else the embedded server."""

    url: str = ""

    def database(self) -> Database:
        """The database of this process, opened on first use. The embedded one is brought to the schema, too."""
        from roster_pipeline.directory import migrate  # PostgreSQL's driver: not needed to list resources
        from roster_pipeline.directory.database import Database
        from roster_pipeline.embedded import prepare_environment

        with _OPENING:
            given = self.url or Places.read().database_url
            url = given or prepare_environment().roster
            if url not in _OPEN:
                _OPEN[url] = Database(url)
            if not given:
                migrate.upgrade(_OPEN[url])
            return _OPEN[url]


def close_databases() -> None:
    """Close every pool of this process."""
    while _OPEN:
        _OPEN.popitem()[1].close()
