"""The demo: empty databases, two simulated SISs, three nights of syncs through Dagster, and what happened as tables."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.engine import make_url

from roster_pipeline import demo_sis
from roster_pipeline.directory import audit, schema, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
from roster_pipeline.notifications.mail import SMTP_URL
from roster_pipeline.runtime.embedded import Addresses, plain_connection, prepare_environment
from roster_pipeline.settings.installation import home
from roster_pipeline.sync.build_report import report_of
from roster_pipeline.vocabulary import COUNTS

WHO = "the demo"
NOON = f"{demo_sis.SCHOOLS[0].name}, noon"
BAD_NIGHT = 3
BAD_CONNECTION = "southside-sis"
BAD_FAULT = "record_missing"
"""In the third night this SIS leaves people out of its pages, and its total still counts them."""
LONGEST_NAME = 23
COLUMNS = ("created", "updated", "restored", "skipped", "archived", "held", "rejected")
MAY_CREATE = "select 1 from pg_roles where rolname = current_user and (rolcreatedb or rolsuper)"


class DemoRefusedError(Exception):
    """The demo may not use this database; the text says why and what to do."""


@dataclass(frozen=True)
class SyncResult:
    """One school in one night. counts: number of people by column. problem: why the run failed, else None."""

    night: int
    school: str
    counts: Mapping[str, int]
    problem: str | None = None


def run_demo(console: Console) -> int:
    """Run the demo and return the exit code. All processes that it starts end with it."""
    from roster_pipeline.defs.resources import InstallationResource
    from roster_pipeline.sync.outbox_sender import send_due

    began = time.monotonic()
    people = demo_sis.districts()
    os.environ.pop(SMTP_URL, None)  # its people are invented: no mail about them goes to a server
    with console.status("starting PostgreSQL"):
        database = _empty_databases()
    results: list[SyncResult] = []
    try:
        with demo_sis.simulated(people) as (base_url, served):
            _register(database, base_url)
            with _progress(console) as progress:
                task = progress.add_task("", total=len(demo_sis.NIGHTS) * len(demo_sis.SCHOOLS) + 1)
                for night, title in enumerate(demo_sis.NIGHTS, start=1):
                    if night == demo_sis.NOON_BEFORE:
                        demo_sis.pass_noon(people)
                        progress.update(task, description=f"noon, manual run: {demo_sis.SCHOOLS[0].name}")
                        results.append(_sync(night, demo_sis.SCHOOLS[0], NOON, None))
                        progress.advance(task)
                    demo_sis.pass_night(people, night)
                    if night == BAD_NIGHT:
                        served[BAD_CONNECTION].faults.set(BAD_FAULT)
                    for school in demo_sis.SCHOOLS:
                        progress.update(task, description=f"night {night} ({title}): {school.name}")
                        results.append(_sync(night, school, school.name, f"demo-{night}"))
                        progress.advance(task)
        sent = send_due(database, InstallationResource().mailer()).sent
    finally:
        database.close()
    for table in _tables(results):
        console.print(table)
    _print_next_steps(console, sent, base_url, time.monotonic() - began)
    failed = [result for result in results if result.problem]
    for result in failed:
        console.print(f"[red]{escape(result.problem or '')}[/red]")
    return 1 if failed else 0


def _sync(night: int, school: demo_sis.DemoSchool, shown: str, batch: str | None) -> SyncResult:
    """One run. batch: runs of one connection with the same batch share a pull; None for a manual run."""
    from roster_pipeline.defs.resources import DirectoryResource
    from roster_pipeline.runtime.run_school import run_school

    database, run_id = DirectoryResource().database(), str(uuid.uuid4())
    with database.begin() as conn:
        audit.record_run(conn, run_id, "sync", tenants.get_school(conn, school.key), who=WHO)
    ran = run_school(school.key, night=batch, run_id=run_id)
    if ran.problem:
        return SyncResult(night, shown, {}, ran.problem)
    counts = latest_counts(database, school.key)
    return SyncResult(night, shown, counts)


def _empty_databases() -> Database:
    """Empty databases for the demo; DemoRefusedError if the database has another district."""
    addresses = prepare_environment()
    database = Database(addresses.roster)
    schema.upgrade(database)
    districts = [row.key for row in database.call(tenants.list_districts)]
    if set(districts) - {demo_sis.DISTRICT}:
        database.close()
        raise DemoRefusedError(
            "This database has districts of your own; the demo starts from an empty one.\n"
            "Give the demo its own folder: ROSTER_HOME=.roster-demo roster demo"
        )
    if districts:
        database.close()
        _recreate(addresses)
        database = Database(addresses.roster)
        schema.upgrade(database)
    shutil.rmtree(home() / "outbox", ignore_errors=True)
    return database


def _recreate(addresses: Addresses) -> None:
    for address in (addresses.roster, addresses.dagster):
        url = make_url(address)
        with plain_connection(url.set(database="postgres")) as server:
            if not server.execute(MAY_CREATE).fetchone():
                raise DemoRefusedError(
                    "The demo starts from empty databases, and this database user may not create databases.\n"
                    "Allow it (alter role ... createdb), or unset ROSTER_DATABASE_URL to use the embedded server."
                )
            name = psycopg.sql.Identifier(url.database or "")
            try:
                server.execute(psycopg.sql.SQL("drop database {}").format(name))
            except psycopg.errors.ObjectInUse:
                raise DemoRefusedError(
                    "Another process uses the demo's databases.\nStop it (make dev?) and run the demo again."
                ) from None
            server.execute(psycopg.sql.SQL("create database {}").format(name))


def _register(database: Database, base_url: str) -> None:
    """Add the demo's district, its two connections and three schools."""
    with database.begin() as conn:
        tenant_changes.add_district(conn, demo_sis.DISTRICT, demo_sis.DISTRICT_NAME)
        for key in demo_sis.CONNECTIONS:
            settings = demo_sis.connection_settings(key, base_url)
            tenant_changes.add_connection(conn, demo_sis.DISTRICT, key, settings, seal(demo_sis.CLIENT_SECRET))
        for school in demo_sis.SCHOOLS:
            tenant_changes.add_school(
                conn, school.connection, school.key, school.name, demo_sis.school_settings(school)
            )


def _tables(results: list[SyncResult]) -> Iterator[Table]:
    """One table per night, at most 80 columns wide."""
    for night, title in enumerate(demo_sis.NIGHTS, start=1):
        table = Table(
            title=f"\nNight {night}: {title}", title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
        )
        table.add_column("", min_width=LONGEST_NAME, no_wrap=True)
        for column in COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for result in results:
            if result.night == night:
                cells = (_cell(column, result.counts.get(column, 0)) for column in COLUMNS)
                table.add_row(result.school, *(("[red]failed[/red]",) if result.problem else cells))
        yield table


def _cell(column: str, number: int) -> str:
    if not number:
        return "[dim]·[/dim]"
    return f"[bold yellow]{number}[/bold yellow]" if column == "held" else str(number)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TimeElapsedColumn(), console=console,
    )  # fmt: skip


def _print_next_steps(console: Console, mails: int, base_url: str, seconds: float) -> None:
    port = urlsplit(base_url).port
    option = "" if port == demo_sis.PORT else f" --simulator-port {port}"
    outbox = os.path.relpath(os.path.join(os.environ["ROSTER_HOME"], "outbox"))  # noqa: PTH118
    console.print(
        f"\n{mails} report e-mails are in [bold]{outbox}/*.eml[/bold]; open them with any mail program.\n"
        "What is held, and why:     [bold]roster hold show lincoln-high[/bold]\n"
        "The people of a school:    [bold]roster people lincoln-high[/bold]\n"
        f"The Dagster UI on all this: [bold]{f'roster dev{option}' if option else 'make dev'}[/bold], "
        "then open the link it prints\n"
        f"(roster is .venv/bin/roster.) Done in {seconds:.0f} s."
    )


def latest_counts(database: Database, school_key: str) -> dict[str, int]:
    """Created, updated, restored, skipped, archived, held, conflicts, unchanged and rejected; empty without a sync."""
    with database.begin() as conn:
        sync_id = latest_sync(conn, school_key)
        if sync_id is None:
            return {}
        report = report_of(sync_summary(conn, sync_id))
    rejected = sum(line.rows for line in report.rejected if line.severity == "error")
    return {name: report.total(name) for name in COUNTS} | {"rejected": rejected}
