"""Health checks of an installation without those of Dagster, and the alerts that report them.

A check is green, red with a remedy, or a note. Only the operators get these alerts: one mail when something breaks, and
one mail when it works again.

Also prunes our own tables, and alerts the operators if that fails. Environment variables say how long rows are kept.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import text

from roster_pipeline.cleaning.quality_suite import QualitySuiteError, installed_suite
from roster_pipeline.directory import alerts, outbox, schema, snapshots, tenants
from roster_pipeline.directory.database import EXHAUSTED, READ_ONLY, Database, DirectoryError
from roster_pipeline.directory.operations import drop_old
from roster_pipeline.directory.secrets import seal, unseal
from roster_pipeline.directory.sis_records import prune_records
from roster_pipeline.errors import RosterError
from roster_pipeline.notifications.blocks import Link, web_address
from roster_pipeline.notifications.mail import address_of
from roster_pipeline.notifications.notice import Notice
from roster_pipeline.notifications.outcome import Tone
from roster_pipeline.notifications.smtp import mailer_from
from roster_pipeline.settings.installation import Installation, MailServer, Retention, Syncs, home
from roster_pipeline.sync.alerts import remedy_of
from roster_pipeline.sync.build_report import run_url
from roster_pipeline.sync.fetch_strategy import client_of, is_bundle
from roster_pipeline.sync.outbox_sender import operators, send_alert, was_open
from roster_pipeline.vocabulary import counted, moment

LEAST_FREE = 2 << 30
"""Bytes: a district's night needs some hundred megabytes, and PostgreSQL stops when its disk is full."""
INSTALLATION = "installation"
HEARTBEAT_SECONDS = 10.0
HEARTBEAT_BYTES = 64 * 1024
UNREAD = timedelta(days=7)
"""For so long, a mail that was given up is a problem. After that, its news are old."""
LATE = timedelta(hours=1)
"""A restart of a mail server is over by then."""


@dataclass(frozen=True)
class Item:
    """One thing that was checked. ok: None means a note."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


def health_checks(database: Database, *, sis: bool) -> Iterator[Item]:
    """Check everything. `sis` also signs in at every connection."""
    try:
        schema.require_current(database)
    except DirectoryError as problem:
        name = "schema" if isinstance(problem, schema.WrongSchema) else "database"
        yield Item(name, False, problem.message, problem.remedy)
        return
    with database.begin() as conn:
        read_only = conn.scalar(text("show transaction_read_only")) == "on"
        verbosity = str(conn.scalar(text("show log_error_verbosity")))
        connections = tenants.list_connections(conn)
        open_now = alerts.open_alerts(conn)
        tried_by = {row.connection.id: row.key for row in tenants.list_schools(conn)} if sis else {}
    takes_nothing, remedy = EXHAUSTED[READ_ONLY]
    yield Item("database", False, takes_nothing, remedy) if read_only else Item("database", True, "answers")
    yield Item("schema", True, f"revision {schema.head()}")
    yield sessions(database)
    yield _server_log(verbosity)
    yield _item("key", _key, connections)
    yield _item("mail", _mail)
    yield from (mails_given_up(database), mails_waiting(database))
    yield _alert_addresses()
    settings = _item("settings", _settings)
    yield settings
    if settings.ok:
        yield from (_heartbeat(), _retention(), _item("quality suite", _quality_suite))
    free = shutil.disk_usage(home()).free
    room = "" if free >= LEAST_FREE else f"Make room under {home()}."
    yield Item("disk", free >= LEAST_FREE, f"{free / (1 << 30):.1f} GB free", room)
    for alert in open_now:
        opened = f"{alert.subject}, {alert.cause}, since {moment(alert.opened_at)}"
        yield Item("open alert", None, opened, remedy_of(alert))
    if sis:
        for connection in connections:
            yield _item(f"SIS {connection.key}", _sis, connection, tried_by.get(connection.id))


def _item(name: str, check: Callable[..., Item], *about: object) -> Item:
    """The result of a check. It is red if the check raises one of our errors."""
    try:
        return check(name, *about)
    except (RosterError, QualitySuiteError) as problem:
        return Item(name, False, problem.message, problem.remedy)


def sessions(database: Database) -> Item:
    """Whether the locks of a sync protect it: not behind a pooler that lends sessions to several clients."""
    return _item("database sessions", _own_sessions, database)


def _own_sessions(name: str, database: Database) -> Item:
    database.require_own_sessions()
    return Item(name, True, "one for each client")


def _server_log(verbosity: str) -> Item:
    """PostgreSQL quotes rows in the details of an error, unless its setting is `terse`."""
    if verbosity == "terse":
        return Item("server log", True, "quotes no rows")
    remedy = "As an administrator: alter system set log_error_verbosity = terse; select pg_reload_conf()"
    return Item("server log", None, f"may quote rows with people: log_error_verbosity is {verbosity}", remedy)


def _key(name: str, connections: list[tenants.ConnectionRow]) -> Item:
    seal("")
    closed: dict[str, DirectoryError] = {}
    for connection in connections:
        try:
            unseal(connection.secret) if connection.secret else None
        except DirectoryError as problem:
            closed[connection.key] = problem
    if closed:
        first = next(iter(closed.values()))
        return Item(name, False, f"does not open {', '.join(closed)}: {first.message}", first.remedy)
    return Item(name, True, f"opens the secrets of {counted(len(connections), 'connection', 'connections')}")


def _mail(name: str) -> Item:
    mail = MailServer.read()
    mailer_from(mail, home() / "outbox").check()
    if not mail.smtp_url:
        return Item(name, None, "goes to a folder: no ROSTER_SMTP_URL")
    return Item(name, True, "the server answers")


def mails_given_up(database: Database) -> Item:
    """Mails that nobody got. The owners cannot know of a mail that does not come."""
    number = database.call(outbox.given_up, datetime.now(UTC) - UNREAD)
    remedy = "See why: roster outbox list --dead. Send one again: roster outbox retry NUMBER" if number else ""
    return Item("given-up mails", not number, f"{number} in the last seven days" if number else "none", remedy)


def mails_waiting(database: Database) -> Item:
    """Mails that nobody gets until somebody repairs something, since the server takes none or nothing sends them."""
    number, why = database.call(outbox.not_leaving, datetime.now(UTC) - LATE)
    if not number:
        return Item("waiting mails", True, "none for more than an hour")
    waited = f"{counted(number, 'mail has', 'mails have')} waited for more than an hour: {why or 'nothing sends them'}"
    remedy = "The line mail of roster doctor says what to correct. Then they are sent; none is given up meanwhile."
    return Item("waiting mails", False, waited.rstrip("."), remedy)


def _alert_addresses() -> Item:
    addresses = operators()
    if not addresses:
        return Item("alerts", None, "go only to owners: no ROSTER_ALERTS_TO")
    try:
        for address in addresses:
            address_of(address)
    except ValueError:
        remedy = "Write e-mail addresses in ROSTER_ALERTS_TO, with commas between them."
        return Item("alerts", False, "not all can be sent", remedy)
    return Item("alerts", True, f"go to {counted(len(addresses), 'address', 'addresses')} of operators too")


def _settings(name: str) -> Item:
    """Every environment variable. Each process reads only those that it needs, and fails when it does."""
    given = Installation.read()
    for variable, address in (("ROSTER_UI_URL", given.ui_url), ("ROSTER_CONSOLE_URL", given.console_url)):
        if address and web_address(address) is None:
            problem = f"{variable} is not a web address, so mails have no links to it."
            return Item(name, False, problem, f"Correct {variable}.")
    return Item(name, True, "every variable can be read")


def _heartbeat() -> Item:
    """Only reads whether it is set up: a real call would tell the external monitor that the daemon ticks."""
    given = Syncs.read().heartbeat_url
    if not given:
        return Item("heartbeat", None, "no outside monitor watches the daemon: no ROSTER_HEARTBEAT_URL")
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return Item("heartbeat", False, "its address is not a web address", "Correct ROSTER_HEARTBEAT_URL.")
    return Item("heartbeat", True, "is sent by the daemon")


def beat(url: str) -> str:
    """Tell the external monitor, if any, that the daemon ticks. Returns a word, never the address."""
    if not url:
        return "no heartbeat"
    import httpx

    from roster_pipeline.bounded_http import exchange

    try:
        answer = exchange("GET", url, seconds=HEARTBEAT_SECONDS, most_bytes=HEARTBEAT_BYTES)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return f"heartbeat failed ({type(problem).__name__})"
    return "heartbeat sent" if answer.is_success else f"heartbeat refused ({answer.status_code})"


def _retention() -> Item:
    kept = Retention.read()
    syncs, days = counted(kept.keep_syncs, "sync", "syncs"), counted(kept.keep_days, "day", "days")
    of_runs = counted(kept.keep_run_days, "day", "days")
    return Item("retention", True, f"{syncs}, {days}, Dagster's runs {of_runs}")


def _quality_suite(name: str) -> Item:
    return Item(name, True, counted(len(installed_suite().rules), "rule", "rules"))


def _sis(name: str, connection: tenants.ConnectionRow, school: str | None) -> Item:
    if is_bundle(connection):
        remedy = f"Try: roster test-connection {school}" if school else ""
        return Item(name, None, "gives bundles, which are tested with a school", remedy)
    with client_of(connection) as client:
        return Item(name, True, f"answers, OneRoster {client.version}")


def open_for_operators(
    database: Database, cause: str, headline: str, hint: str, now: datetime, link: Link | None = None
) -> bool:
    """Open an alert and tell the operators. Returns False if they know already."""
    with database.begin() as conn:
        opened = alerts.open_alert(conn, INSTALLATION, cause, headline)
        if opened is None:
            return False
        send_alert(conn, [], _notice(now, "failed", "Problem", headline, hint, link), opened, "opened")
    return True


def close_for_operators(database: Database, cause: str, headline: str, now: datetime) -> bool:
    """Close an alert and tell the operators. Returns False if none is open."""
    with database.begin() as conn:
        closed = alerts.close_of(conn, INSTALLATION, cause)
        if closed is None:
            return False
        since = was_open(closed.opened_at, closed.message)
        send_alert(conn, [], _notice(now, "good", "All clear", headline, since), closed.id, "cleared")
    return True


def watch_installation(database: Database, items: Iterable[Item], now: datetime) -> tuple[int, int]:
    """Open an alert for each red item, close those of the others. Returns how many of each."""
    opened = closed = 0
    for item in items:
        if item.ok is False:
            opened += open_for_operators(database, item.name, f"{_capital(item.name)}: {item.detail}", item.remedy, now)
        else:
            closed += close_for_operators(database, item.name, f"{_capital(item.name)}: well again", now)
    return opened, closed


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _notice(now: datetime, tone: Tone, badge: str, headline: str, hint: str, link: Link | None = None) -> Notice:
    return Notice("Installation", "", now, "UTC", tone, badge, headline, (hint,), link=link)


def prune(database: Database, retention: Retention) -> dict[str, int]:
    """Drop old rows from our tables, with one transaction per school. Returns how many were dropped, by name."""
    with database.begin() as conn:
        schools = [school.id for school in tenants.list_schools(conn)]
        sources = [source.id for source in tenants.list_connections(conn)]
    dropped = {"snapshots": 0, "records": 0}
    for school_id in schools:
        dropped["snapshots"] += database.call(snapshots.prune, school_id, retention.keep_syncs)
    for source_id in sources:
        dropped["records"] += database.call(prune_records, source_id)
    return dropped | database.call(drop_old, timedelta(days=retention.keep_days))


def alert_not_pruned(database: Database, run_id: str, now: datetime) -> bool:
    """Alert the operators, once, that pruning fails. False if they know already."""
    hint = "Until it works, raw records, mails and Dagster runs are kept longer than promised. Its run says why."
    url = run_url(run_id)
    link = Link("Open the run", url) if url else None
    return open_for_operators(database, "pruning", "The nightly pruning failed", hint, now, link)


def clear_not_pruned(database: Database, now: datetime) -> None:
    """Send the all-clear, if an alert is open."""
    close_for_operators(database, "pruning", "Pruning works again", now)
