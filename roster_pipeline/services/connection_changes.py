"""Adding a connection and changing it, with the audit entry, for the command line and the console alike.

The rule about secrets, once: a stored Client Secret goes only where it was meant to go. Whoever changes the server it
is sent to, or whom we believe there, types it again; a stolen session must not be able to send it elsewhere.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy import Connection

from roster_pipeline.directory import audit, secrets, tenants
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.services.connection_test_state import runs_untested
from roster_pipeline.services.settings_diff import ChangedMeanwhile, SettingsDiff, changed_names
from roster_pipeline.settings.school import ConnectionSettings

WHAT = "connection changed"
NOT_TESTED = {"sis", "secret_expires", "controlled_by"}
"""Settings that say something about a connection and change nothing about how it is used."""


def add_connection(
    conn: Connection, district_key: str, key: str, settings: ConnectionSettings, secret: str | None, *, who: str
) -> ConnectionRow:
    """Add a connection; the secret comes plain, or as `env:NAME`, and is sealed here. Raises UnknownKey, KeyTaken."""
    row = tenants.add_connection(conn, district_key, key, settings, secrets.seal(secret) if secret else None)
    audit.record(conn, who=who, what="connection added", district_id=row.district_id, details={"connection": key})
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
    """Change a connection's settings, its secret (plain, or `env:NAME`), or both, in the caller's transaction.

    seen: the revision that the person saw; None does not ask. Raises UnknownKey, and ChangedMeanwhile where there is a
    newer one.
    """
    lock_until_commit(conn, f"settings of connection {key}")
    before = tenants.get_connection(conn, key)
    if seen is not None and seen != before.revision:
        raise ChangedMeanwhile(f"the connection {key}", audit.since_revision(conn, WHAT, seen, connection=key))
    tenants.set_connection(conn, key, settings=settings, secret_sealed=secrets.seal(secret) if secret else None)
    after = tenants.get_connection(conn, key)
    names = changed_names(before.settings.model_dump(mode="json"), after.settings.model_dump(mode="json"))
    names += ["client_secret"] if secret else []
    if names and set(names) <= NOT_TESTED:
        tenants.keep_tests(conn, before.id, before.revision, after.revision)
    audit.record(
        conn,
        who=who,
        what=WHAT,
        district_id=before.district_id,
        details={"connection": key, "changed": names, "revision": after.revision},
    )
    untested = [school.key for school in tenants.schools_of(conn, before.id) if runs_untested(school)]
    return SettingsDiff(names, untested)


def secret_must_be_typed(stored: ConnectionSettings, wanted: ConnectionSettings) -> bool:
    """Whether the stored secret would go to another server, or to one that is trusted for another reason."""
    known = {_origin(stored.url), _origin(stored.token_url)}
    elsewhere = _origin(wanted.url) != _origin(stored.url) or _origin(wanted.token_url) not in {*known, None}
    return elsewhere or (stored.ca_bundle, stored.host_key) != (wanted.ca_bundle, wanted.host_key)


def same_place(stored: ConnectionSettings, wanted: ConnectionSettings) -> bool:
    """Whether both name the same server and, for files of this machine, the same file."""
    if wanted.url.lower().startswith("file:"):
        return stored.url == wanted.url
    return _origin(stored.url) == _origin(wanted.url) and _origin(wanted.token_url) in {
        _origin(stored.url),
        _origin(stored.token_url),
        None,
    }


def servers_of(settings: ConnectionSettings) -> list[str]:
    """The hosts and ports that the addresses name: what may be told of them, whatever else stands in them."""
    origins = filter(None, (_origin(settings.url), _origin(settings.token_url)))
    named = [(f"[{host}]" if ":" in host else host, port) for scheme, host, port in origins if scheme and host]
    return list(dict.fromkeys(host if port is None else f"{host}:{port}" for host, port in named))


def _origin(url: str | None) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an address; two that cannot be read are never the same."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.strip())
        port = parts.port or {"https": 443, "http": 80, "sftp": 22}.get(parts.scheme)
    except ValueError:
        return ("", url, None)
    return (parts.scheme.lower(), (parts.hostname or "").lower().rstrip("."), port)
