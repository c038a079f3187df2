"""Reads the list of schools of a SIS, and adds some of them to a district, with the settings of an existing school."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count

from sqlalchemy import Connection

from roster_pipeline.directory import audit, connection_tests, tenants
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.oneroster.bundle import pull_bundle
from roster_pipeline.oneroster.collections.pull import pull
from roster_pipeline.oneroster.collections.wanted import GROUPS, Batch, Wanted
from roster_pipeline.oneroster.people_counts import SchoolList
from roster_pipeline.services import access_changes
from roster_pipeline.services.connection_test import LIMITS, MOST_AT_ONCE, TestGoesOn, note_end
from roster_pipeline.services.school_changes import add_school
from roster_pipeline.services.settings_changes import servers_of
from roster_pipeline.settings.school import ANY_SCHOOL, MOST_RECIPIENTS, SchoolSettings
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle, source_of_connection

RESERVED = ("new",)
EVERYBODY = Wanted(roles=frozenset(GROUPS))


def begin(conn: Connection, connection: tenants.ConnectionRow, *, who: str) -> str | None:
    """Note that somebody reads the schools of a connection: the list's id, or None if it is read. Raises TestGoesOn."""
    lock_until_commit(conn, "connection tests")
    newest = connection_tests.get_list(conn, connection)
    if newest is not None and newest.ended_at is None:
        return None
    if connection_tests.going(conn) + connection_tests.lists_going(conn) >= MOST_AT_ONCE:
        raise TestGoesOn("Several other tests are going on.")
    details = {"connection": connection.key, "servers": servers_of(connection.settings)}
    audit.record(conn, who, "schools listed", district_id=connection.district_id, details=details)
    return connection_tests.start_list(conn, connection, who=who)


def carry_out(database: Database, connection_key: str, list_id: str) -> None:
    """Read the list and note its end. It does not raise: an error becomes the list's `problem`."""
    note_end(
        database,
        lambda: _read(database, connection_key, list_id),
        lambda conn, problem: connection_tests.end_list(conn, list_id, problem),
        connection=connection_key,
    )


def _read(database: Database, connection_key: str, list_id: str) -> None:
    """First read the schools, then count the people of each. It takes minutes to read all people of a SIS."""
    with database.begin() as conn:
        connection = tenants.get_connection(conn, connection_key)
    found = SchoolList(datetime.now(UTC).date())

    def note() -> None:
        with database.begin() as conn:
            connection_tests.note_schools(conn, list_id, found.schools())

    def store(batches: Iterable[Batch]) -> None:
        found.start()
        for batch in batches:
            found.take(batch)

    if is_bundle(connection):
        store(pull_bundle(source_of_connection(connection), EVERYBODY))
    else:
        with client_of(connection, LIMITS) as client:
            client.connect()
            found.take(Batch("org", list(client.orgs()), []))
            note()
            pull(client, EVERYBODY).into(store)
            with database.begin() as conn:
                tenants.remember(conn, connection.id, client.learned)
    note()


@dataclass(frozen=True)
class PickedSchool:
    """A school of the SIS that somebody picked. owners: e-mail addresses."""

    school_id: str
    name: str
    owners: Sequence[str] = ()


def add_picked(
    conn: Connection,
    connection: tenants.ConnectionRow,
    picked: Sequence[PickedSchool],
    pattern: SchoolSettings | None,
    *,
    who: str,
    console_url: str | None,
) -> list[tenants.SchoolRow]:
    """Add schools of a connection, give their owners access and invite them. pattern: the settings to take over, but
    automatic rostering is off until a test and the Roster Email goes to the new owners; None: the district's defaults,
    else the standard settings in its usual time zone. Raises KeyTaken, FieldError, NoAddress."""
    pattern = pattern or tenants.get_district(conn, connection.district_key).settings.school_defaults
    if pattern is None:
        zone = tenants.usual_time_zone(conn, [connection.district_id])
        pattern = SchoolSettings(school_id=ANY_SCHOOL, **({"time_zone": zone} if zone else {}))
    taken = {key for key, _ in tenants.school_names(conn, None, limit=1_000_000)}
    added: list[tenants.SchoolRow] = []
    invited: dict[str, list[tenants.SchoolRow]] = {}
    for school in picked:
        key = new_key(school.name, taken)
        taken.add(key)
        owners = list(dict.fromkeys(access_changes.address(email) for email in school.owners))
        own = {"school_id": school.school_id, "automatic": False, "report_to": owners[:MOST_RECIPIENTS]}
        row = add_school(conn, connection.key, key, school.name, pattern.model_copy(update=own), who=who)
        for email in owners:
            access_changes.grant(conn, email, Place(school_id=row.id), who=who)
            invited.setdefault(email, []).append(row)
        added.append(row)
    for email, schools in invited.items():
        first = f"/schools/{schools[0].key}" if len(schools) == 1 else ""
        access_changes.invite(conn, email, [row.name for row in schools], console_url=console_url, path=first)
    return added


def key_of(name: str) -> str:
    """A key made from a name: `St. Mary's, Lincoln` becomes `st-marys-lincoln`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")


def new_key(name: str, taken: Collection[str]) -> str:
    """The same for a school, with a number if the key is taken; never a word of the console's addresses."""
    plain = key_of(name)
    plain = plain if plain and plain not in RESERVED else f"school-{plain}".strip("-")
    numbered = (f"{plain}-{number}" for number in count(2))
    return next(key for key in chain([plain], numbered) if key not in taken)
