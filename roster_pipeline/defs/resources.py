"""The resources of assets and sensors: the directory, the SISs, and the installation with its mail server.

They return plain objects without Dagster. `build_defs(resource_overrides=...)` replaces them. Values come from the
environment, but not by `EnvVar`, which fails if a variable is not set; ours have defaults.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
from pydantic import Field

from roster_pipeline.settings.installation import MailServer, Places, Variables, home

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database
    from roster_pipeline.notifications.mail import Mailer
    from roster_pipeline.oneroster import Limits

Part = TypeVar("Part", bound=Variables)

_OPEN: dict[str, Database] = {}
"""One connection pool per process and address: the runs of a warm worker share it."""
_OPENING = threading.Lock()
"""Held while the embedded database gets its schema: schedule and sensors ask for it in threads of one code server."""


class DirectoryResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The people directory. Without a URL: `ROSTER_DATABASE_URL`, else the embedded server."""

    url: str = ""

    def database(self) -> Database:
        """The database of this process, opened at first use. The embedded one also gets the newest schema."""
        from roster_pipeline.directory import schema  # PostgreSQL's driver: not needed to list resources
        from roster_pipeline.directory.database import Database
        from roster_pipeline.runtime.embedded import prepare_environment

        with _OPENING:
            given = self.url or Places.read().database_url
            url = given or prepare_environment().roster
            if url not in _OPEN:
                _OPEN[url] = Database(url)
            if not given:
                schema.upgrade(_OPEN[url])
            return _OPEN[url]


class SisResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """How the SISs are read. limits: bounds of every client that differ from the usual ones of `oneroster.Limits`."""

    limits: dict[str, float] = Field(default_factory=dict)

    def bounds(self) -> Limits | None:
        """The bounds of every client; None for the usual ones."""
        from roster_pipeline.oneroster import Limits  # the HTTP client: not needed to list resources

        if not self.limits:
            return None
        return Limits(**{name: type(getattr(Limits, name))(value) for name, value in self.limits.items()})


class InstallationResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The installation's variables. variables: override those of the environment. The UI shows them."""

    variables: dict[str, str] = Field(default_factory=dict)

    def read(self, part: type[Part]) -> Part:
        """Some of the variables, such as `Retention`. Raises InstallationError."""
        return part.read({**os.environ, **self.variables})

    def mailer(self) -> Mailer:
        """The mailer: through the server of `ROSTER_SMTP_URL`, else into the folder `outbox`. Raises
        MailSettingsError."""
        from roster_pipeline.notifications.smtp import mailer_from

        return mailer_from(self.read(MailServer), home() / "outbox")


RESOURCES: dict[str, dg.ConfigurableResource[object]] = {
    "directory": DirectoryResource(),
    "sis": SisResource(),
    "installation": InstallationResource(),
}


def close_databases() -> None:
    """Close every pool of this process."""
    while _OPEN:
        _OPEN.popitem()[1].close()
