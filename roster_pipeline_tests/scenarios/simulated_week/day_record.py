"""The record of a day: memberships, syncs in the ledger, mails that arrived, and leaks."""

from collections import Counter
from dataclasses import dataclass, field
from email.message import EmailMessage

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from roster_pipeline_tests.scenarios.simulated_week.installation import Week

MEMBERS = """
select s.key, m.status, l.sourced_id from membership m join school s on s.id = m.school_id
join link l on l.person_id = m.person_id and l.connection_id = s.connection_id
where m.role = 'student'
"""
SYNCS = """
select y.id, s.key, y.kind, y.outcome from sync y join school s on s.id = y.school_id where y.id > :after order by y.id
"""
Members = dict[str, set[str]]
"""sourcedIds of students by school key."""


Mails = dict[tuple[str, ...], list[str]]
"""Sorted recipients to their subjects, sorted."""


@dataclass
class Day:
    """The results of one day."""

    syncs: dict[str, str]
    """School key to the outcome of its one sync by schedule."""
    mails: Mails
    bodies: dict[tuple[str, ...], str]


@dataclass
class Diary:
    """Reads the week day by day: each day sees only what is new."""

    week: Week
    sync_id: int = 0
    mails: int = 0
    message_ids: Counter[str] = field(default_factory=Counter)

    def day(self) -> Day:
        """The syncs and mails since the last call. Fails if a school was synced twice, or one mail came twice."""
        syncs = self.week.rows(SYNCS, after=self.sync_id)
        self.sync_id = max((row[0] for row in syncs), default=self.sync_id)
        kinds = Counter((key, kind) for _, key, kind, _ in syncs)
        assert set(kinds.values()) <= {1}, kinds
        arrived = self.week.mailbox.messages[self.mails :]
        self.mails += len(arrived)
        self.message_ids.update(str(message["message-id"]) for message, _ in arrived)
        assert set(self.message_ids.values()) == {1}, "a mail came twice"
        mails: Mails = {}
        bodies: dict[tuple[str, ...], str] = {}
        for message, recipients in arrived:
            to = tuple(sorted(recipients))
            mails[to] = sorted([*mails.get(to, []), str(message["subject"])])
            bodies[to] = bodies.get(to, "") + text_of(message)
        return Day({key: outcome for _, key, kind, outcome in syncs if kind == "sync"}, mails, bodies)


def text_of(message: EmailMessage) -> str:
    """All text parts of a mail."""
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    return "\n".join(str(part.get_content()) for part in parts)


def directory(week: Week) -> tuple[Members, Members]:
    """Active and archived students of the directory."""
    found: dict[str, Members] = {status: {key: set() for key in week.schools} for status in ("active", "archived")}
    for key, status, sourced_id in week.rows(MEMBERS):
        found[status][key].add(sourced_id)
    return found["active"], found["archived"]


def roster(week: Week, connection: str = "") -> Members:
    """Students of the SIS now; of one connection, or of both."""
    return {
        key: set(sis.students(school))
        for key, (sis, school) in week.schools.items()
        if not connection or sis.key == connection
    }


def owners(week: Week, connection: str, *others: str) -> tuple[str, ...]:
    """Addresses of every owner of a connection's schools, and others, sorted."""
    mine = [f"{key}@week.example" for key, (sis, _) in week.schools.items() if sis.key == connection]
    return tuple(sorted([*mine, *others]))


def everything_said(week: Week, dagster_url: str) -> str:
    """Every mail, the daemon's output, every row of Dagster's tables, and the texts in our own tables."""
    said = [str(message) + text_of(message) for message, _ in week.mailbox.messages]
    said.append(week.daemon_log.read_text())
    plain = make_url(dagster_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as conn:
        tables = conn.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            query = sql.SQL("select to_jsonb(t)::text from {} t").format(sql.Identifier(table))
            said += [row[0] for row in conn.execute(query)]
    for table in ("outbox", "failure", "alert", "sync", "audit", "verdict", "quality_result"):
        said += [row[0] for row in week.rows(f"select to_jsonb(t)::text from {table} t")]
    return "\n".join(said).lower()
