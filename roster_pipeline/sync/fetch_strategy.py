"""How a connection is fetched: the client of its API or the source of its CSV bundles, the whole connection or one
school's lists, everything or only the changes.

Only the changes are fetched if the SIS has proved that it names every change. Each full pull tests this again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.cleaning.contact_rules import AGENTS, METADATA, contact_fields, stored_key
from roster_pipeline.directory import audit, delta_base, pull_comparison
from roster_pipeline.directory.delta_base import DeltaBase
from roster_pipeline.directory.secrets import unseal
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.errors import LOST_COLUMNS
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.oneroster import Client, Endpoint
from roster_pipeline.oneroster.bundle import BundleSource, source_of
from roster_pipeline.oneroster.collections.delta import KINDS, PROVED, NamedChanges
from roster_pipeline.oneroster.http.addresses import is_bundle_url
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.oneroster.records.orgs import UNREAD
from roster_pipeline.settings.school import ConnectionSettings
from roster_pipeline.sync.alerts import affected_schools
from roster_pipeline.sync.outbox_sender import send_alert
from roster_pipeline.vocabulary import counted

WEEK = timedelta(days=7)
"""Everything is fetched at least this often, because lists leave people out, and deltas do not show purged records."""
FAR_LARGER = 20
"""A district counts as far larger than its rostered schools if it has this many times their records."""
LARGE = 20_000
"""With fewer records than this, the whole connection is cheap in any case."""
OVERLAP = timedelta(days=2)
"""A delta starts this much earlier. The reasons: clocks differ, some servers compare only days, and a hub shows the
records of a SIS hours after the time that they carry."""
READS = "reads"
"""A key in a pull's proof: which parts of the records were requested. If two pulls requested different parts, they
differ even in people who did not change."""
NOT_NAMED = "changes-not-named"
"""A note in the proof of a full pull: the number of people who had changed although the SIS did not name them."""


def endpoint_of(connection: ConnectionRow) -> Endpoint:
    """The endpoint with its secret in plain text. Keep it only as long as the step needs it."""
    chosen = connection.settings
    return Endpoint(
        base_url=chosen.url, client_id=chosen.client_id, client_secret=_secret(connection), sign_in=chosen.sign_in,
        token_url=chosen.token_url, scopes=chosen.scopes, version=chosen.version, page_size=chosen.page_size,
        ca_bundle=chosen.ca_bundle, allow_private=chosen.allow_private_addresses,
        metadata_keys=_metadata_keys(connection), unknown_user_status=int(chosen.unknown_user_answer),
        learned=connection.learned,
    )  # fmt: skip


def is_bundle(connection: ConnectionRow) -> bool:
    """Whether the SIS gives CSV bundles instead of an API."""
    return is_bundle_url(connection.settings.url)


def source_of_connection(connection: ConnectionRow) -> BundleSource:
    """The source of the connection's CSV bundles.

    The Client ID and the Client Secret are the user and the password of SFTP.
    """
    chosen = connection.settings
    return source_of(
        chosen.url,
        chosen.client_id,
        _secret(connection),
        host_key=chosen.host_key,
        allow_private=chosen.allow_private_addresses,
        metadata_keys=_metadata_keys(connection),
    )


def _secret(connection: ConnectionRow) -> str:
    return unseal(connection.secret) if connection.secret else ""


def columns_since(connection: ConnectionRow, proof: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What to add to a proof: the columns that each CSV file has or had, and those that it has no longer. before: the
    proof of the last pull. Without the parents of orgs, enrollments do not show who has none."""
    wanted = {f"metadata:{key}" for key in _metadata_keys(connection)}
    columns: dict[str, list[str]] = proof.get("columns") or {}
    known, lost = dict(columns), {}
    for file, names in (before.get("columns") or {}).items():
        had = {name for name in names if ":" not in name or name in wanted}
        known[file] = sorted(had.union(columns.get(file, ())))
        lost[file] = sorted(had.difference(columns.get(file, had)))
    unread = connection.settings.no_enrollment_means_gone and "parent" in lost.get("orgs", ())
    added = {"complete": False, "problems": [*proof["problems"], UNREAD]} if unread else {}
    return {"columns": known, LOST_COLUMNS: {file: names for file, names in lost.items() if names}} | added


def without_permissions(connection: ConnectionRow, lost: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The lost columns whose earlier values stay in the records. Metadata that may forbid to call a contact is left
    out: no new contact is chosen without it."""
    numbers = (connection.settings.student_number_from, connection.settings.staff_number_from)
    return {file: [name for name in names if ":" not in name or name in numbers] for file, names in lost.items()}


def _metadata_keys(connection: ConnectionRow) -> tuple[str, ...]:
    """The members of a user's metadata that some setting reads. All others are dropped when records are read."""
    chosen = connection.settings
    numbers = (chosen.student_number_from, chosen.staff_number_from, chosen.primary_contact_from or "")
    sources = (*numbers, *contact_fields(chosen))
    kept = {stored_key(source) for source in sources if source.startswith((METADATA, AGENTS))}
    return tuple(sorted(kept))


def client_of(connection: ConnectionRow, limits: Limits | None = None) -> Client:
    """A client for this connection. Use it as a context manager. limits: limits that replace the usual ones."""
    endpoint = endpoint_of(connection)
    return Client(replace(endpoint, limits=limits) if limits else endpoint)


@dataclass(frozen=True)
class Choice:
    """per_school: fetch the school's own lists instead of the whole. since: fetch only what changed after this time;
    None fetches all.

    everybody_too: fetch everybody, and also the people who changed since then, to see whether the changes alone would
    be enough.
    """

    per_school: bool
    since: datetime | None
    everybody_too: bool = False


def choose(
    settings: ConnectionSettings,
    *,
    whole: DeltaBase | None,
    own: DeltaBase | None,
    rostered: int | None,
    schools: int,
    list_requests: float | None,
    lists_leave_out: int,
    proved: bool,
    now: datetime,
) -> Choice:
    """The strategy of one school's night.

    whole: the newest complete pull of the whole connection; own: that of the school's lists. schools: how many are
    configured on this connection; rostered: the number of records of all these schools together; None if it is not
    known yet. list_requests: how many requests the lists of one school usually cost; None if none were read yet.
    lists_leave_out: how many people the school's lists left out in the last comparison. proved: the SIS has named every
    kind of change so far, so only changes may be fetched between the weekly full pulls.
    """
    stale = whole is None or now - whole.full_at > WEEK
    cheaper = whole is not None and lists_cost_less(whole, rostered, schools, list_requests)
    wanted = settings.strategy == "per_school" or (settings.strategy == "auto" and cheaper)
    per_school = wanted and not stale and not lists_leave_out
    base, other = (own, whole) if per_school else (whole, own)
    since = _since(base, other, now) if settings.delta and proved else None
    if since is None and settings.delta and not per_school and base is not None and base.server_time is not None:
        return Choice(per_school, _begin(base, base.server_time), everybody_too=True)
    return Choice(per_school, since)


def lists_cost_less(whole: DeltaBase, rostered: int | None, schools: int, list_requests: float | None) -> bool:
    """Whether the lists of all configured schools cost the SIS less than one pull of the whole connection.

    Until both ways were tried, only the size counts. After that, the number of requests counts too: lists of single
    schools, often with a request for each contact, can cost more than a far larger collection in large pages.
    """
    if rostered is None or whole.records <= max(LARGE, FAR_LARGER * rostered):
        return False
    whole_requests = whole.proof.get("requests")
    return list_requests is None or whole_requests is None or list_requests * schools < int(whole_requests)


def _since(base: DeltaBase | None, other: DeltaBase | None, now: datetime) -> datetime | None:
    """The time from which a delta over `base` starts. None if the other way has been read in full since then.

    People who had left by then are still in the base, and no delta names them. A delta over this base would bring them
    back.
    """
    if base is None or now - base.full_at > WEEK or base.server_time is None:
        return None
    if other is not None and other.full_at > base.full_at:
        return None
    return _begin(base, base.server_time)


def _begin(base: DeltaBase, server_time: datetime) -> datetime:
    """The start of a delta: the earlier of the SIS's clock and our clock, because a clock that runs ahead would hide
    changes."""
    return min(server_time, base.started_at or base.finished_at).astimezone(UTC) - OVERLAP


def is_proved(learned: Mapping[str, Any]) -> bool:
    """Whether this SIS has named every kind of change so far."""
    return set(KINDS) <= set(learned.get(PROVED, ()))


def look_at_changes(
    conn: Connection, school: SchoolRow, pull_id: int, base: DeltaBase, reads: str, named: NamedChanges
) -> tuple[list[str], list[str]]:
    """Compare a full pull with the people that the SIS names as changed since an earlier pull.

    Returns the kinds of change that are proved now, and notes for the pull's proof. If one person was not named,
    "changes only" is switched off for the connection, and its owners get a mail.
    """
    proved = set(school.connection.learned.get(PROVED, ()))
    if base.proof.get(READS) != reads:
        return sorted(proved), []
    found = pull_comparison.compare_named(conn, pull_id, base.id, named.ids)
    if found.missed:
        _switch_off(conn, school, pull_id, found.missed)
        return [], [f"{NOT_NAMED}:{found.missed}"]
    proved |= {"same_day"} if named.same_day else set()
    proved |= {"membership"} if found.membership else set()
    proved |= {"email"} if found.email else set()
    return sorted(proved), [f"{NOT_NAMED}:0"]


def _switch_off(conn: Connection, school: SchoolRow, pull_id: int, missed: int) -> None:
    source = school.connection
    if not delta_base.switch_delta_off(conn, source):
        return
    people = counted(missed, "person who had", "people who had")
    audit.record(
        conn,
        "roster",
        "connection changed",
        district_id=source.district_id,
        reason=f"the SIS did not name {people} changed",
        details={"connection": source.key, "changed": ["delta"]},
    )
    notice = Notice(
        f"Connection {source.key}",
        "",
        datetime.now(UTC),
        school.settings.time_zone,
        "attention",
        "Changes only",
        f"The SIS did not name {people} changed, so everything is fetched every night",
        (
            "Between full pulls, we fetched only changes from this SIS. A full pull found changed people whom the SIS "
            "had not named, so we switched this setting off. Tonight's data are complete.",
            "Tell the people who run the SIS that dateLastModified does not follow every change of a user.",
        ),
        f"roster connection show {source.key}",
    )
    send_alert(conn, affected_schools(conn, school), notice, "delta", source.id, pull_id)
