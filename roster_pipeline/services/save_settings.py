"""Saving a school's settings page: connection and school in one transaction, with the test that stands for both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.directory.connection_tests import ConnectionTest
from roster_pipeline.directory.secrets import unseal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.connection_changes import change_connection, secret_must_be_typed
from roster_pipeline.services.connection_test_state import LastTest, last_test, may_be_automatic
from roster_pipeline.services.field_error import SECRET, FieldError
from roster_pipeline.services.network_policy import TYPE_AGAIN, allowed, same_org, usable_secret
from roster_pipeline.services.school_changes import change_school
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

NOT_KEPT = "What was typed for the test is not kept any more, so type the Client Secret again."


@dataclass(frozen=True)
class Wanted:
    """What a form asks for. connection: None where it is not the person's to change. secret: as typed, or None.

    trial_id: the test whose typed secret is meant, where a page was loaded anew since and cannot know it.
    """

    name: str
    settings: SchoolSettings
    connection: ConnectionSettings | None = None
    secret: str | None = None
    trial_id: str | None = None


def save(
    conn: Connection, key: str, wanted: Wanted, *, who: str, operator: bool, manager: bool, seen: tuple[int, int]
) -> tuple[list[str], LastTest]:
    """Save what differs, in the caller's transaction; gives the names of it, and what the last test is worth now.

    seen: the revisions of school and connection that the form was filled in on. Raises FieldError, ChangedMeanwhile,
    NeedsTest; then the transaction must be rolled back.
    """
    before = tenants.get_school(conn, key)
    names: list[str] = []
    stored = before.connection
    tested_secret: str | None = None
    if wanted.connection is None:
        same_org(before, wanted.settings)
    else:
        settings = allowed(stored.settings, wanted.connection, operator=operator, manager=manager)
        tested_secret = secret_of(conn, before, wanted, settings, who)
        if tested_secret or settings != stored.settings:
            names += change_connection(
                conn, stored.key, who=who, settings=settings, secret=tested_secret, seen=seen[1]
            ).names
    here = replace(tenants.get_school(conn, key), settings=wanted.settings)
    if last_test(here) in (LastTest.NEVER, LastTest.STALE):
        standing = next(
            (one for one in connection_tests.recent(conn, before.id) if stands_for(one, before, here, tested_secret)),
            None,
        )
        if standing is not None:
            tenants.save_test(conn, here, standing.items, standing.ended_at)
            tenants.remember(conn, here.connection.id, standing.learned)
    if wanted.settings != before.settings or wanted.name != before.name:
        names += change_school(
            conn, key, who=who, settings=wanted.settings, name=wanted.name, seen=seen[0], before=before
        ).names
    else:
        may_be_automatic(before, tenants.get_school(conn, key))
    connection_tests.forget(conn, before.id)
    return names, last_test(tenants.get_school(conn, key))


def secret_of(
    conn: Connection, school: SchoolRow, wanted: Wanted, settings: ConnectionSettings, who: str
) -> str | None:
    """The new secret: as typed now, or as typed for the trial that the form names. None keeps the stored one.

    A trial's secret counts for the person who typed it, and for the server it was tried with. Raises FieldError, also
    where the trial that had it is deleted.
    """
    if not wanted.secret and wanted.trial_id:
        trial = connection_tests.get(conn, school.id, wanted.trial_id)
        if trial is None:
            raise FieldError(SECRET, NOT_KEPT)
        if trial.typed and trial.secret and trial.who == who:
            if secret_must_be_typed(trial.settings, settings):
                raise FieldError(SECRET, TYPE_AGAIN)
            return unseal(trial.secret)
    return usable_secret(school.connection, settings, wanted.secret)


def stands_for(trial: ConnectionTest, before: SchoolRow, now: SchoolRow, secret: str | None) -> bool:
    """Whether a trial tried exactly what is saved now. secret: the new one; None where the stored one was kept."""
    if trial.settings != now.connection.settings or trial.school_settings.school_id != now.settings.school_id:
        return False
    if trial.problem is not None or not trial.items:
        return False
    if secret is None:
        return not trial.typed and trial.connection_revision == before.connection.revision
    return trial.typed and trial.secret is not None and unseal(trial.secret) == secret
