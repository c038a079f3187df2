"""Saves settings, for the settings page and the command line. The page requires a green test of the new values if
somebody switches automatic rostering on, or changes the connection or the School ID while it is on; for other changes
none, because the SIS may be away today. The command line only warns, because scripts set schools up. Also the preview
of the Roster Email, and a copy of it by mail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import audit, connection_tests, plans, tenant_changes, tenants
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.secrets import unseal
from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.content import RoleCounts, SyncReport
from roster_pipeline.notifications.mail import Mail, message_id
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.smtp import mailer_from
from roster_pipeline.services.school_changes import change_school, locked_school, write_school
from roster_pipeline.services.settings_changes import (
    SECRET,
    TYPE_AGAIN,
    ChangedMeanwhile,
    FieldError,
    LastTest,
    allowed,
    change_connection,
    last_test,
    same_org,
    secret_must_be_typed,
    usable_secret,
)
from roster_pipeline.settings.installation import MailServer, home
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.sync.build_report import console_url, report_of
from roster_pipeline.vocabulary import ROLE_ORDER

NOT_KEPT = "The Client Secret that you typed for the test is no longer kept. Type it again."


_WHY = {
    LastTest.NEVER: "Automatic rostering needs a test first.",
    LastTest.STALE: "The connection or the School ID changed since the last test; automatic rostering needs a new one.",
    LastTest.RED: "The last test found something that does not work, so automatic rostering cannot be switched on.",
}


class NeedsTest(DirectoryError):
    """Automatic rostering cannot be on without a green test, so nothing was saved."""

    def __init__(self, state: LastTest) -> None:
        super().__init__(_WHY[state], "Press Test Your Information, then save; or leave automatic rostering off.")
        self.state = state


@dataclass(frozen=True)
class Wanted:
    """The values of a form. connection: None if the form has none, or the person may not change it. secret: as typed.
    test_id: the test for which it was typed, if the page was loaded again since. names: the settings that the form has;
    all others stay as they are stored."""

    name: str
    settings: SchoolSettings
    connection: ConnectionSettings | None = None
    secret: str | None = None
    test_id: str | None = None
    names: frozenset[str] = frozenset(SchoolSettings.model_fields) | {"name"}


@dataclass(frozen=True)
class SaveResult:
    """Either everything was saved, or a reason why nothing was. changed: names of the settings that differ. errors:
    setting to message. conflict: somebody saved other values meanwhile. needs_test: automatic rostering needs a test
    first. untested: keys of schools that run every night without a test of their connection as it is now. test: the
    school's last test. automatic: the school is synced every night."""

    changed: Sequence[str] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    conflict: ChangedMeanwhile | None = None
    needs_test: NeedsTest | None = None
    untested: Sequence[str] = ()
    test: LastTest = LastTest.NEVER
    automatic: bool = False

    @property
    def saved(self) -> bool:
        """Whether everything was saved."""
        return not self.errors and self.conflict is None and self.needs_test is None


def save_settings(
    database: Database, key: str, wanted: Wanted, *, who: str, operator: bool, manager: bool, seen: tuple[int, int]
) -> SaveResult:
    """Save what a person entered. seen: both revisions that the form showed. Raises UnknownKey, RefusedSetting."""
    return _result(
        database, lambda conn: _save(conn, key, wanted, who=who, operator=operator, manager=manager, seen=seen)
    )


def save_school(
    database: Database, key: str, settings: SchoolSettings, *, who: str, name: str | None = None, seen: int
) -> SaveResult:
    """Save a school's settings for a script, which needs no test. seen: the revision that `settings` are based on.
    Raises UnknownKey, RefusedSetting."""

    def change(conn: Connection) -> SaveResult:
        diff = change_school(conn, key, who=who, settings=settings, name=name, seen=seen)
        return SaveResult(changed=diff.names, untested=diff.untested)

    return _result(database, change)


def save_connection(
    database: Database, key: str, settings: ConnectionSettings, secret: str | None, *, who: str, seen: int
) -> SaveResult:
    """Save a connection's settings and, if given, its secret (plain, or `env:NAME`). seen: as for `save_school`."""

    def change(conn: Connection) -> SaveResult:
        diff = change_connection(conn, key, who=who, settings=settings, secret=secret, seen=seen)
        return SaveResult(changed=diff.names, untested=diff.untested)

    return _result(database, change)


def _result(database: Database, change: Callable[[Connection], SaveResult]) -> SaveResult:
    """Run a change in a transaction. A refusal rolls it back and becomes the result."""
    try:
        with database.begin() as conn:
            return change(conn)
    except FieldError as problem:
        return SaveResult(errors={problem.field: problem.message})
    except NeedsTest as problem:
        return SaveResult(needs_test=problem)
    except ChangedMeanwhile as problem:
        return SaveResult(conflict=problem)


def _save(
    conn: Connection, key: str, wanted: Wanted, *, who: str, operator: bool, manager: bool, seen: tuple[int, int]
) -> SaveResult:
    before = school = locked_school(conn, key)
    stored, wanted = before.connection, _on_stored(before, wanted)
    changed: list[str] = []
    new_secret: str | None = None
    if wanted.connection is None:
        same_org(before, wanted.settings)
    else:
        settings = allowed(stored.settings, wanted.connection, operator=operator, manager=manager)
        new_secret = secret_of(conn, before, wanted, settings, who)
        if new_secret or settings != stored.settings:
            changed += change_connection(
                conn, stored.key, who=who, settings=settings, secret=new_secret, seen=seen[1]
            ).names
            school = tenants.get_school(conn, key)  # after a change of the connection, its tests may not count any more
    school = _with_test(conn, before, replace(school, settings=wanted.settings), new_secret)
    if wanted.settings != before.settings or wanted.name != before.name:
        names, after = write_school(
            conn, before, who=who, settings=wanted.settings, name=wanted.name, seen=seen[0], among=wanted.names
        )
        changed += names
        school = replace(school, name=after.name, revision=after.revision)
    may_be_automatic(before, school)
    connection_tests.forget(conn, before.id)
    return SaveResult(changed=changed, test=last_test(school), automatic=school.settings.automatic)


def _on_stored(stored: SchoolRow, wanted: Wanted) -> Wanted:
    """The wanted values of the settings that the form has. All others are as they are stored now."""
    chosen = {name: getattr(wanted.settings, name) for name in wanted.names & SchoolSettings.model_fields.keys()}
    name = wanted.name if "name" in wanted.names else stored.name
    return replace(wanted, name=name, settings=stored.settings.model_copy(update=chosen))


def _with_test(conn: Connection, before: SchoolRow, school: SchoolRow, new_secret: str | None) -> SchoolRow:
    """The school; without a valid test, with the newest test of exactly the values that are saved now."""
    if last_test(school) not in (LastTest.NEVER, LastTest.STALE):
        return school
    for test in connection_tests.recent(conn, before.id):
        if stands_for(test, before, school, new_secret):
            tenants.remember(conn, school.connection.id, test.learned)
            kept = tenant_changes.save_test(conn, school, test.items, test.ended_at)
            return replace(school, test=kept)
    return school


def secret_of(
    conn: Connection, school: SchoolRow, wanted: Wanted, settings: ConnectionSettings, who: str
) -> str | None:
    """The new secret: typed now, or for the test that the form names; None keeps the stored one. That of a test counts
    only for who typed it and the tested server. Raises FieldError, also if the test was deleted since."""
    if not wanted.secret and wanted.test_id:
        test = connection_tests.get(conn, school.id, wanted.test_id)
        if test is None:
            raise FieldError(SECRET, NOT_KEPT)
        if test.typed and test.secret and test.who == who:
            if secret_must_be_typed(test.settings, settings):
                raise FieldError(SECRET, TYPE_AGAIN)
            return unseal(test.secret)
    return usable_secret(school.connection, settings, wanted.secret)


def stands_for(test: connection_tests.ConnectionTest, before: SchoolRow, now: SchoolRow, secret: str | None) -> bool:
    """Whether a test had exactly the values that are saved now. secret: the new one; None if the stored one is kept."""
    if test.settings != now.connection.settings or test.school_settings.school_id != now.settings.school_id:
        return False
    if test.problem is not None or not test.items:
        return False
    if secret is None:
        return not test.typed and test.connection_revision == before.connection.revision
    return test.typed and test.secret is not None and unseal(test.secret) == secret


def preview_mail(conn: Connection, school: SchoolRow) -> Mail:
    """The mail of the last sync; before the first, that of the newest plan. It has only counts."""
    sync_id = latest_sync(conn, school.key)
    return render(report_of(sync_summary(conn, sync_id)) if sync_id is not None else _of_plan(conn, school))


def _of_plan(conn: Connection, school: SchoolRow) -> SyncReport:
    plan = plans.latest(conn, school.id, dry_run=True)
    counts, rostered = plan.counts if plan else {}, school.settings.rostered
    return SyncReport(
        school_key=school.key,
        school_name=school.name,
        when=datetime.now(UTC),
        time_zone=school.settings.time_zone,
        roles=tuple(RoleCounts.of(role, counts.get(role, {})) for role in ROLE_ORDER if role in rostered),
        plan_id=plan.id if plan else None,
        console_url=console_url(),
    )


def send_test_mail(conn: Connection, school: SchoolRow, to: str, *, who: str) -> None:
    """Send the preview to one address at once, so that the answer of the mail server is known. Raises MailError."""
    mail = preview_mail(conn, school)
    mail = replace(mail, subject=f"Test: {mail.subject}")
    mailer = mailer_from(MailServer.read(), home() / "outbox")
    identity = message_id("test", school.key, to, datetime.now(UTC).isoformat(), sender=mailer.sender)
    mailer.send(identity, [to], mail)
    audit.record(conn, who, "test mail sent", school=school)


def may_be_automatic(before: SchoolRow, after: SchoolRow) -> None:
    """Raise NeedsTest if automatic rostering would be on without a valid test. before, after: the school as stored."""
    state = last_test(after)
    if not after.settings.automatic or state is LastTest.GREEN:
        return
    unchanged = (
        before.settings.automatic
        and before.settings.school_id == after.settings.school_id
        and before.connection.revision == after.connection.revision
    )
    if not unchanged:
        raise NeedsTest(state)
