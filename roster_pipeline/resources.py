"""What the assets get handed. Plain objects that know nothing of Dagster come out of here."""

import os
from functools import lru_cache

import dagster as dg

from roster_pipeline.directory.database import Database
from roster_pipeline.embedded import DATABASE_URL, prepare_environment


@lru_cache(maxsize=4)
def _database(url: str) -> Database:
    """One connection pool per process and address: runs of a warm worker share it."""
    return Database(url)


class DirectoryResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The people directory. Without a URL: `ROSTER_DATABASE_URL`, else the embedded server."""

    url: str = ""

    def database(self) -> Database:
        """The database of this process, opened on first use."""
        if not self.url and not os.environ.get(DATABASE_URL):
            prepare_environment()
        return _database(self.url or os.environ[DATABASE_URL])
