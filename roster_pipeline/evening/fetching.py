"""Fetch: everything a connection has, once per night, split by school on our side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roster_pipeline.directory import pulls, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.evening.connecting import client_of
from roster_pipeline.oneroster import SchoolNotFound, Wanted, pull

RAW = ("raw_orgs", "raw_users", "raw_contacts")


@dataclass(frozen=True)
class Fetched:
    """One snapshot as numbers: `counts` has a key per raw asset, `proof` is the client's proof of completeness."""

    snapshot_id: int
    complete: bool
    problems: tuple[str, ...]
    counts: Mapping[str, int]
    proof: Mapping[str, Any]


def fetch(database: Database, school_key: str, *, batch: str, run_id: str | None) -> Fetched:
    """Take one school's snapshot.

    Schools of one connection with the same `batch` share one pull: the first one's run fetches, the others wait for
    it and read. Raises EveningError's causes: OneRosterError, DirectoryError.
    """
    with database.begin() as connection:
        school = tenants.get_school(connection, school_key)
    pull_id = _shared_pull(database, school, batch)
    with database.begin() as connection:
        sourced_id = snapshots.find_school(connection, pull_id, school.settings.school_id)
        if sourced_id is None:
            raise SchoolNotFound(
                f"the SIS has no school {school.settings.school_id}",
                "Check the School ID: it is the sourcedId (or the identifier) of the school's org in the SIS, "
                "and the connection must be allowed to see that school.",
            )
        snapshot_id = snapshots.take(
            connection, school, sourced_id, pull_id, contacts=school.settings.primary_contacts, run_id=run_id
        )
        facts = snapshots.facts(connection, snapshot_id)
    proof = facts["proof"]
    return Fetched(
        snapshot_id=snapshot_id,
        complete=bool(facts["complete"]),
        problems=tuple(proof.get("problems", ())),
        counts={name: int(facts["counts"].get(name, 0)) for name in RAW},
        proof=proof,
    )


def _shared_pull(database: Database, school: SchoolRow, batch: str) -> int:
    with pulls.pull_lock(database, school.connection.id, batch):
        with database.begin() as connection:
            pull_id, fresh = pulls.claim(connection, school.connection, batch, scope="")
            contacts = _contacts_wanted(tenants.list_schools(connection), school.connection)
        if fresh:
            with client_of(school.connection) as client:
                pulled = pull(client, Wanted(school_ids=None, contacts=contacts, since=None))
                pulled.into(lambda batches: pulls.store(database, pull_id, batches))
                with database.begin() as connection:
                    pulls.finish(connection, pull_id, pulled.proof.as_dict())
                    tenants.remember(connection, school.connection.id, dict(client.learned))
        return pull_id


def _contacts_wanted(schools: list[SchoolRow], connection: ConnectionRow) -> bool:
    """Contacts are pulled only if some school of the connection wants them: what is not needed is not kept."""
    return any(school.settings.primary_contacts for school in schools if school.connection.id == connection.id)
