"""Changes of settings: finds differences, refuses changes, decides who may enter which connection, and whether the last
Test Your Information still counts.

A stored Client Secret goes only to the server for which it was entered. To change the server, or the proof of its
identity (CA bundle, host key), one has to enter the secret again, so a stolen session cannot send it elsewhere.

A form that tests an address makes this machine call that address. Owners and managers reach public servers only. An
operator can allow one server in the private network for a connection; the permission ends when somebody else changes
the address. Only operators can name files of this machine. Only the command line can set variables for secrets.

A change of the connection (its address, Client ID, Client Secret or any other setting) or of the School ID makes the
last test stale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel
from sqlalchemy import Connection

from roster_pipeline.directory import audit, secrets, tenant_changes, tenants
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.settings.fields import ROLES, SCHOOL, title_of
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.sync.alerts import settle_expiry
from roster_pipeline.vocabulary import day, reason_problem

PEM = "-----BEGIN"
TYPE_AGAIN = "The server changed, so type the Client Secret again: the stored one is not sent to another."
WHAT = "connection changed"
NOT_TESTED = {"sis", "secret_expires", "controlled_by"}
"""Settings that only describe a connection. They do not change how it is used, so a test of it stays valid."""
CHOICES = {setting.name: dict(setting.choices) for setting in SCHOOL}
SECRET = "client_secret"  # noqa: S105 - the field's name


@dataclass(frozen=True)
class SettingsDiff:
    """What was written. names: settings that differ. untested: keys of schools that run on an untested connection."""

    names: list[str]
    untested: list[str]


def add_connection(
    conn: Connection, district_key: str, key: str, settings: ConnectionSettings, secret: str | None, *, who: str
) -> tenants.ConnectionRow:
    """Add a connection. secret: plain or `env:NAME`; sealed here. Raises UnknownKey, KeyTaken, FieldError."""
    _check_end_of_secret(None, settings)
    _check_addresses(None, settings)
    row = tenant_changes.add_connection(conn, district_key, key, settings, sealed(conn, secret))
    audit.record(conn, who, "connection added", district_id=row.district_id, details={"connection": key})
    return row


def change_connection(
    conn: Connection,
    key: str,
    *,
    who: str,
    settings: ConnectionSettings | None = None,
    secret: str | None = None,
    seen: int | None = None,
) -> SettingsDiff:
    """Change a connection's settings, its secret (plain, or `env:NAME`), or both. seen: the revision that the person
    saw; None compares nothing. Raises ChangedMeanwhile for a newer one, UnknownKey, FieldError."""
    lock_until_commit(conn, f"settings of connection {key}")
    before = tenants.get_connection(conn, key)
    if settings is not None:
        _check_end_of_secret(before.settings, settings)
        _check_addresses(before.settings, settings)
    if seen is not None and seen != before.revision:
        raise ChangedMeanwhile(f"the connection {key}", audit.since_revision(conn, WHAT, seen, connection=key))
    revision = tenant_changes.set_connection(conn, key, settings=settings, secret_sealed=sealed(conn, secret))
    names = changed_names(before.settings, settings or before.settings)
    names += ["client_secret"] if secret else []
    if "secret_expires" in names:
        settle_expiry(conn, before.id, datetime.now(UTC))
    if names and set(names) <= NOT_TESTED:
        tenant_changes.keep_tests(conn, before.id, before.revision, revision)
    details = {"connection": key, "changed": names, "revision": revision}
    audit.record(conn, who, WHAT, district_id=before.district_id, details=details)
    untested = [school.key for school in tenants.schools_of(conn, before.id) if runs_untested(school)]
    return SettingsDiff(names, untested)


def remove_connection(conn: Connection, key: str, *, who: str) -> None:
    """Remove a connection that no school uses. Raises UnknownKey, ConnectionInUse."""
    lock_until_commit(conn, f"settings of connection {key}")
    row = tenant_changes.remove_connection(conn, key)
    audit.record(conn, who, "connection removed", district_id=row.district_id, details={"connection": key})


def _check_end_of_secret(stored: ConnectionSettings | None, wanted: ConnectionSettings) -> None:
    """Refuse a new end date that is over in every time zone; a stored one may be in the past."""
    new = stored is None or stored.secret_expires != wanted.secret_expires
    today = (datetime.now(UTC) - timedelta(hours=12)).date()
    if new and wanted.secret_expires is not None and wanted.secret_expires < today:
        past = day(wanted.secret_expires)
        raise FieldError("secret_expires", f"{past} is in the past. Write the last day on which the secret works.")


def _check_addresses(stored: ConnectionSettings | None, wanted: ConnectionSettings) -> None:
    """Refuse a new address that nobody can call, or with a password, because addresses are shown and logged."""
    for field in ("url", "token_url"):
        address = getattr(wanted, field)
        if address is None or (stored is not None and getattr(stored, field) == address):
            continue
        try:
            parts = urlsplit(address)
            secret = parts.password is not None or (parts.username is not None and parts.scheme != "sftp")
            usable = parts.port != 0
        except ValueError:
            secret = usable = False
        if secret:
            raise FieldError(field, "Remove user name and password from the address; they have fields of their own.")
        if not usable:
            raise FieldError(field, "This is not a valid address. Copy it again from the SIS.")


def secret_must_be_typed(stored: ConnectionSettings, wanted: ConnectionSettings) -> bool:
    """Whether the stored secret would go to another server, or to a server that proves its identity in another way."""
    proof = (stored.ca_bundle, stored.host_key) == (wanted.ca_bundle, wanted.host_key)
    return not (proof and _same_server(stored, wanted))


def same_place(stored: ConnectionSettings, wanted: ConnectionSettings) -> bool:
    """Whether both name the same server and, for files of this machine, the same file."""
    return stored.url == wanted.url if wanted.url.lower().startswith("file:") else _same_server(stored, wanted)


def _same_server(stored: ConnectionSettings, wanted: ConnectionSettings) -> bool:
    servers = {_origin(stored.url), _origin(stored.token_url), None}
    return _origin(wanted.url) == _origin(stored.url) and _origin(wanted.token_url) in servers


def servers_of(settings: ConnectionSettings) -> list[str]:
    """Hosts and ports of the addresses: the parts that may be shown (the rest of an address can hold a secret)."""
    origins = filter(None, (_origin(settings.url), _origin(settings.token_url)))
    named = [(f"[{host}]" if ":" in host else host, port) for scheme, host, port in origins if scheme and host]
    return list(dict.fromkeys(host if port is None else f"{host}:{port}" for host, port in named))


def _origin(url: str | None) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an address. Two addresses that cannot be read never count as the same."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.strip())
        port = parts.port or {"https": 443, "http": 80, "sftp": 22}.get(parts.scheme)
    except ValueError:
        return ("", url, None)
    return (parts.scheme.lower(), (parts.hostname or "").lower().rstrip("."), port)


def allowed(
    stored: ConnectionSettings | None, wanted: ConnectionSettings, *, operator: bool, manager: bool
) -> ConnectionSettings:
    """The settings that this person may test and save. stored: None for a new connection. manager: of the connection's
    district; operators always are. Raises FieldError."""
    _check_end_of_secret(stored, wanted)
    if operator:
        return wanted
    if not manager and stored is not None and "district" in (stored.controlled_by, wanted.controlled_by):
        raise FieldError("controlled_by", "Only a manager of the district may change a connection of the district.")
    if wanted.url.lower().startswith("file:") and (stored is None or stored.url != wanted.url):
        raise FieldError("url", "Only an operator can let a connection read files of this machine.")
    named = wanted.ca_bundle is not None and not wanted.ca_bundle.lstrip().startswith(PEM)
    if named and (stored is None or stored.ca_bundle != wanted.ca_bundle):
        raise FieldError("ca_bundle", "Paste the certificates themselves, each from its line -----BEGIN on.")
    private = stored is not None and stored.allow_private_addresses and same_place(stored, wanted)
    return wanted.model_copy(update={"allow_private_addresses": private})


def same_org(stored: tenants.SchoolRow, wanted: SchoolSettings) -> None:
    """Raise FieldError if the School ID changes. For people who may not change the connection: another School ID would
    give them the people of a school that is not theirs."""
    if wanted.school_id != stored.settings.school_id:
        if stored.connection.settings.controlled_by == "district":
            raise FieldError("school_id", "Only a manager of the district may change it.")
        raise FieldError("school_id", "Only somebody who looks after all schools of this connection may change it.")


def usable_secret(stored: tenants.ConnectionRow | None, wanted: ConnectionSettings, typed: str | None) -> str | None:
    """The typed secret; None keeps the stored one. Raises FieldError for a reference, or if it must be typed."""
    if typed:
        if typed.startswith(secrets.REFERENCE):
            raise FieldError(SECRET, "Use the command line for a secret that is kept in a variable.")
        return typed
    if stored is not None and stored.secret and secret_must_be_typed(stored.settings, wanted):
        raise FieldError(SECRET, TYPE_AGAIN)
    return None


def sealed(conn: Connection, secret: str | None) -> str | None:
    """A typed secret in the form in which it is stored in this transaction. Raises FieldError after a rotation."""
    try:
        return secrets.seal_to_keep(conn, secret) if secret else None
    except secrets.ReplacedKey as problem:
        raise FieldError(SECRET, f"{problem.message} {problem.remedy}") from None


class FieldError(DirectoryError):
    """A well-formed value that is refused. field: the setting's name in the model, `client_secret` or `reason`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, "Nothing was saved.")
        self.field = field


class ChangedMeanwhile(DirectoryError):
    """Somebody has saved other values since the form was loaded. They are not overwritten."""

    def __init__(self, thing: str, entries: Sequence[audit.Entry]) -> None:
        names = sorted({title_of(name) for entry in entries for name in entry.details.get("changed", ())})
        who = " and ".join(dict.fromkeys(entry.who for entry in entries)) or "Somebody else"
        super().__init__(
            f"{who} changed {thing} meanwhile: {', '.join(names) or 'its settings'}. Your changes were not saved.",
            "Look at the settings as they are now, then make your changes again.",
        )


def given_reason(reason: str) -> str:
    """The typed reason without blanks at its ends. Raises FieldError."""
    if problem := reason_problem(reason):
        raise FieldError("reason", problem)
    return reason.strip()


def changed_names(before: BaseModel, after: BaseModel) -> list[str]:
    """The settings that differ, in order; nested ones with their path, such as `students.archive`."""
    return _changed(before.model_dump(mode="json"), after.model_dump(mode="json"))


def differences(before: BaseModel, after: BaseModel) -> list[tuple[str, str]]:
    """Title and value of each setting that differs between two schools, as people read them."""
    plain = after.model_dump(mode="json")
    found = {}
    for name in changed_names(before, after):
        value: Any = plain
        first, _, inner = name.partition(".")
        for step in (first, inner) if first in (*ROLES, "guards") else (first,):
            value = value[step]
        found[title_of(name)] = _in_words(name, value)
    return list(found.items())


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value * 100:g} %"
    if isinstance(value, list | dict):
        return f"{len(value)} set" if value else "none"
    return CHOICES.get(name, {}).get(value) or (value[:5] if name == "sync_time" else str(value))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    names: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names += [f"{name}.{inner}" for inner in _changed(old, new)]
        elif old != new:
            names.append(name)
    return names


class LastTest(StrEnum):
    """The result of the last test for the connection as it is now."""

    NEVER = "never"
    STALE = "stale"
    RED = "red"
    GREEN = "green"


def last_test(school: tenants.SchoolRow) -> LastTest:
    """The result of the school's last test for its connection as it is now."""
    if not school.test:
        return LastTest.NEVER
    now = {"revision": school.connection.revision, "school_id": school.settings.school_id}
    if school.test.get("of") != now:
        return LastTest.STALE
    red = any(item["ok"] is False for item in school.test["items"])
    return LastTest.RED if red else LastTest.GREEN


def runs_untested(school: tenants.SchoolRow) -> bool:
    """Whether a school runs every night although its connection was never tested, or not since it changed."""
    return school.settings.automatic and last_test(school) in (LastTest.NEVER, LastTest.STALE)
