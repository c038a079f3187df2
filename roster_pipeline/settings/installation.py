"""The environment variables of an installation, each with its type, default and bounds.

`Installation` has all of them. A caller reads the part that it needs (`Retention.read()`), so a wrong variable stops
only the work that depends on it. Every call reads the environment again, because tests may change it.
`docs/operations.md`, `docs/deployment.md` and `docs/console.md` list the variables; a test compares.
"""

import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from roster_pipeline.errors import RosterError

LEAST_SYNCS = 7
"""The usual size of a role is the median of its last seven good snapshots."""
PASSED_THROUGH, WRITTEN_BY_OTHERS = 0o711, 0o022
"""Modes of a folder. An embedded server that root starts runs as another user, which has to reach its socket."""


class InstallationError(RosterError):
    """An environment variable cannot be used. The text names the variable and never repeats its value."""


def _addresses(text: object) -> object:
    return [part.strip() for part in re.split("[,;]", text) if part.strip()] if isinstance(text, str) else text


Addresses = Annotated[list[str], BeforeValidator(_addresses)]
"""Several e-mail addresses. Semicolons also separate addresses, because a mail would lose everything after a semicolon.
The addresses are not checked here."""
Secret = Annotated[str, Field(repr=False)]
"""A secret, so it is in no repr. An address with a password is a secret too."""


class Variables(BaseModel):
    """A group of variables. A field `keep_days` is the variable `ROSTER_KEEP_DAYS`. An empty one counts as not set."""

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        str_strip_whitespace=True,
        alias_generator=lambda name: f"ROSTER_{name.upper()}",
    )

    @classmethod
    def variables(cls) -> dict[str, Any]:
        """The default of each variable, by name."""
        return {field.alias or name: field.default for name, field in cls.model_fields.items()}

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The values of an environment, by default of this process. Raises InstallationError."""
        given = os.environ if environment is None else environment
        try:
            return cls.model_validate({name: given[name] for name in cls.variables() if given.get(name, "").strip()})
        except ValidationError as problem:
            wrong = [_worded(error, cls.variables()) for error in problem.errors(include_url=False)]
            raise InstallationError(*("\n".join(texts) for texts in zip(*wrong, strict=True))) from None


def _worded(error: ErrorDetails, defaults: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with one variable, and what to do."""
    name = str(error["loc"][0])
    if error["type"].startswith("bool"):
        return f"{name} is neither on nor off.", f"Set {name} to on or off."
    least, most = _bounds(name)
    bounds = f"from {least} to {most}" if most else f"of at least {least}"
    return f"{name} is not a whole number {bounds}.", f"Correct {name}, or leave it out for {defaults[name]}."


def _bounds(name: str) -> tuple[int | None, int | None]:
    field = next(field for field in Installation.model_fields.values() if field.alias == name)
    found: dict[str, int] = {}
    for rule in field.metadata:
        found |= {bound: getattr(rule, bound) for bound in ("ge", "le") if hasattr(rule, bound)}
    return found.get("ge"), found.get("le")


class Places(Variables):
    """Where the databases and the files are."""

    home: Path = Path(".roster")
    """The folder for everything made at run time."""
    database_url: Secret = ""
    """The directory's database; empty: the embedded server under `home`."""
    dagster_database_url: Secret = ""
    """Dagster's own database; empty: the name of ours with `_dagster`."""
    owner_database_url: Secret = ""
    """The login that owns the tables, for `roster init` and `roster application`; empty: that of `database_url`."""
    embedded_url: Secret = ""
    """Set for children, never by people: the address in `database_url` is that of the embedded server."""
    dagster_home: str = Field("", alias="DAGSTER_HOME")
    """The folder with `dagster.yaml`, if it is not the working folder."""

    @property
    def embedded(self) -> bool:
        """Whether the directory is on the embedded server."""
        return not self.database_url or self.embedded_url == self.database_url


def home() -> Path:
    """The folder for everything made at run time: `ROSTER_HOME`, else `.roster` in the working folder."""
    folder = Places.read().home.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OSError(f"The folder {folder} cannot be made: {problem.strerror}.\nSet ROSTER_HOME to another.") from None
    return folder


def own_temporary_folder() -> Path:
    """`/tmp/roster-1000`, for locks and sockets that all processes of a user share. Other users may pass through it but
    write nothing into it. If somebody else has taken that name, this process gets a folder of its own."""
    folder = Path(tempfile.gettempdir()) / f"roster-{os.geteuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        folder.chmod(PASSED_THROUGH)
    found = folder.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return folder if ours and not found.st_mode & WRITTEN_BY_OTHERS else _spare_folder(os.getpid())


@cache
def _spare_folder(_process: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="roster-"))
    folder.chmod(PASSED_THROUGH)
    return folder


def project_root() -> Path:
    """The folder with `dagster.yaml` and `workspace.yaml`: `DAGSTER_HOME`, else the working folder or the checkout."""
    given = Places.read().dagster_home
    places = [Path(given)] if given else [Path.cwd(), Path(__file__).resolve().parents[2]]
    for place in places:
        if (place / "dagster.yaml").exists():
            return place
    raise FileNotFoundError(
        f"No dagster.yaml in {given or 'the working folder'}. Run roster in the project's folder, or set DAGSTER_HOME "
        "to it."
    )


class SecretKey(Variables):
    """The key for Client Secrets. While keys are exchanged, several keys with commas between them."""

    secret_key: Secret = ""


class MailServer(Variables):
    """How mail leaves, and the operators who get every alert."""

    smtp_url: Secret = ""
    mail_from: str = ""
    alerts_to: Addresses = []


class WebAddresses(Variables):
    """The addresses of the pages, for links in mails. ui_token: what the Dagster UI of `roster dev` asks for."""

    ui_url: str = ""
    ui_token: Secret = ""
    console_url: str = ""


class ConsoleVariables(Variables):
    """How the console serves. console_mail_links: None means on, unless there is an identity provider."""

    console_url: str = ""
    console_proxies: str = ""
    console_idle_minutes: int = Field(120, ge=1, le=100_000)
    console_session_hours: int = Field(12, ge=1, le=100_000)
    console_mail_links: bool | None = None
    console_runs: int = Field(2, ge=1, le=1000)
    """How many syncs and dry runs of people may run at once on this machine."""
    console_run_minutes: int = Field(60, ge=1, le=100_000)
    """How long one of them may take."""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: Secret = ""
    oidc_trust_email: bool = False


class Retention(Variables):
    """How long things are kept."""

    keep_syncs: int = Field(14, ge=LEAST_SYNCS, le=100_000)
    """How many good syncs of a school keep their raw records."""
    keep_days: int = Field(90, ge=7, le=100_000)
    """How many days sent mails and notes of nights are kept."""
    keep_run_days: int = Field(90, ge=7, le=100_000)
    """How many days Dagster's runs and their events are kept."""


class Syncs(Variables):
    """How scheduled syncs run and how their records are judged."""

    first_pull_minutes: int = Field(15, ge=1, le=360)
    """How long the first pull of a connection may take before it gives way to others."""
    quality_suite: str = ""
    """The path of a suite file with quality rules of this installation."""
    heartbeat_url: Secret = ""
    """An address that is fetched once a minute while the daemon ticks."""

    @property
    def first_pull(self) -> timedelta:
        """How long the pull of a night's first run may take."""
        return timedelta(minutes=self.first_pull_minutes)


class Services(Variables):
    """The variables that `deploy/dagster.yaml`, `deploy/workspace.yaml` and the units read: broker and code server."""

    broker_url: Secret = ""
    results_url: Secret = ""
    queue: str = "dagster"
    code_host: str = ""
    code_port: int = Field(4000, ge=1, le=65_535)


class CommandLine(Variables):
    """Variables of the `roster` command. who: the name for the audit."""

    who: str = ""


class Installation(
    Places, SecretKey, MailServer, WebAddresses, ConsoleVariables, Retention, Syncs, Services, CommandLine
):
    """Every variable."""
