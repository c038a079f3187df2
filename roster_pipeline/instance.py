"""What `dagster.yaml` names: Dagster's tables and files where ours are, also when nobody has set a variable.

`dagster dev` and `dg` read that file before they load any definition, so the embedded server is started from here.
"""

from __future__ import annotations

from typing import Any

from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage

from roster_pipeline.embedded import dagster_address, home


class InstanceStorage(DagsterPostgresStorage):
    """Dagster's tables in the database of `ROSTER_DAGSTER_DATABASE_URL`, else on the embedded server."""

    @classmethod
    def config_type(cls) -> Any:
        """There is nothing to set."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> InstanceStorage:
        """Called by Dagster in every process that opens the instance."""
        return cls(dagster_address(), inst_data=inst_data)


class HomeFolder(LocalArtifactStorage):
    """Dagster's files in the home folder: `ROSTER_HOME`, else `.roster` in the working folder."""

    @classmethod
    def config_type(cls) -> Any:
        """There is nothing to set."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> HomeFolder:
        """Called by Dagster in every process that opens the instance."""
        return cls(str(home()), inst_data=inst_data)
