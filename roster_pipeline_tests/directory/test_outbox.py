"""The outbox: nothing is sent twice, nothing is lost, and a failed mail waits longer each time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from roster_pipeline.directory import outbox
from roster_pipeline.directory.database import Database


@dataclass(frozen=True)
class Note:
    """A mail."""

    subject: str = "s"
    text: str = "t"
    html: str = "h"


def _put(database: Database, message_id: str = "m1") -> bool:
    with database.begin() as conn:
        to = ["a@example.org", "b@example.org"]
        return outbox.put(conn, message_id=message_id, kind="report", recipients=to, mail=Note())


def test_a_message_id_is_put_once(database: Database) -> None:
    assert [_put(database), _put(database), _put(database, "m2")] == [True, False, True]
    assert [letter.message_id for letter in database.call(outbox.due)] == ["m1", "m2"]


def test_two_senders_at_once_never_get_the_same_message(database: Database) -> None:
    _put(database)
    _put(database, "m2")
    with database.begin() as one, database.begin() as other:
        assert [letter.message_id for letter in outbox.due(one, limit=1)] == ["m1"]
        assert [letter.message_id for letter in outbox.due(other)] == ["m2"]


def test_what_was_sent_is_not_due_again(database: Database) -> None:
    _put(database)
    with database.begin() as conn:
        outbox.sent(conn, outbox.due(conn)[0].id)
        assert outbox.due(conn) == []


def test_a_sender_that_dies_leaves_the_message_to_the_next(database: Database) -> None:
    _put(database)

    def send_and_die() -> None:
        with database.begin() as conn:
            outbox.sent(conn, outbox.due(conn)[0].id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        send_and_die()
    assert len(database.call(outbox.due)) == 1


def test_waits_double_and_end_with_a_dead_letter_that_can_be_revived(database: Database) -> None:
    _put(database)
    now = datetime.now(UTC)
    waits = []
    for attempt in range(outbox.MOST_ATTEMPTS):
        with database.begin() as conn:
            (letter,) = outbox.due(conn, now=now)
            alive = outbox.failed(conn, letter.id, "451", recipients=["b@example.org"], now=now)
            assert alive is (attempt < outbox.MOST_ATTEMPTS - 1)
            assert outbox.due(conn, now=now) == []
        waits.append(min(outbox.FIRST_WAIT * 2**attempt, outbox.LONGEST_WAIT))
        now += waits[-1]
    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits[-1] == outbox.LONGEST_WAIT
    with database.begin() as conn:
        (letter,) = outbox.messages(conn, dead=True)
        assert (letter.recipients, letter.error) == (["b@example.org"], "451")
        assert outbox.retry(conn, letter.id)
        assert not outbox.retry(conn, letter.id)
        assert len(outbox.due(conn)) == 1


def test_a_server_that_is_away_for_a_week_costs_no_mail(database: Database) -> None:
    _put(database)
    now = datetime.now(UTC)
    with database.begin() as conn:
        for _ in range(2 * outbox.MOST_ATTEMPTS):
            (letter,) = outbox.due(conn, now=now)
            assert outbox.failed(conn, letter.id, "away", away=True, now=now)
            now += outbox.FIRST_WAIT
        (letter,) = outbox.due(conn, now=now + timedelta(days=7))
        assert letter.attempts == 0
        assert outbox.given_up(conn, datetime.now(UTC) - timedelta(days=7)) == 0


def test_a_permanent_failure_is_dead_at_once(database: Database) -> None:
    _put(database)
    with database.begin() as conn:
        assert not outbox.failed(conn, outbox.due(conn)[0].id, "550", permanent=True)
        assert outbox.due(conn) == []
        assert outbox.given_up(conn, datetime.now(UTC) - timedelta(days=7)) == 1
        assert outbox.given_up(conn, datetime.now(UTC) + timedelta(days=7)) == 0
