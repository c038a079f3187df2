"""Changes alone are fetched once the SIS has named every kind of change; one that it does not name ends that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from roster_pipeline.directory import tenants
from roster_pipeline.oneroster.http import endpoint
from roster_pipeline.sync.connection_checks import check_connection
from roster_pipeline_tests.scenarios.conftest import Town
from roster_pipeline_tests.scenarios.test_alerts import mails
from roster_pipeline_tests.scenarios.test_fetching import prove_changes


def students(town: Town) -> list[str]:
    return [one.sourced_id for one in town.people.people_of("sch-1", "student")]


def modes(town: Town) -> list[str]:
    with town.database.begin() as conn:
        return list(conn.scalars(text("select mode from snapshot order by id")))


def learned(town: Town) -> list[str]:
    with town.database.begin() as conn:
        return list(tenants.get_connection(conn, "sis").learned.get("delta_proved", []))


def is_on(town: Town) -> bool:
    with town.database.begin() as conn:
        return tenants.get_connection(conn, "sis").settings.delta


def said_by_the_test(town: Town) -> str:
    return next(item["detail"] for item in check_connection(town.database, "lincoln") if item["name"] == "Changes only")


def test_changes_alone_are_fetched_once_every_kind_of_change_was_named(town: Town) -> None:
    town.set_connection(delta=True)
    town.add_school()
    town.run_sync()
    town.people.edit(students(town)[0], email="new@example.org")
    town.run_sync()
    assert learned(town) == ["email", "same_day"]
    assert "not yet proved for changes of school or role" in said_by_the_test(town)
    town.people.move(students(town)[1], "sch-2")
    town.run_sync()
    assert set(learned(town)) == {"email", "membership", "same_day"}
    assert said_by_the_test(town) == "honoured"
    town.people.rename(students(town)[2], given_name="Changed")
    assert town.run_sync()["updated"] == 1
    assert modes(town) == ["full", "full", "full", "delta"]


def unnamed(town: Town, sourced_id: str, **fields: object) -> None:
    """A change that leaves the date of change as it is."""
    person = town.people.person(sourced_id)._replace(**fields)  # type: ignore[arg-type]
    with town.people.lock:
        town.people.changed[person.row] = person
        town.people.revision += 1


def to_the_other_school(town: Town, sourced_id: str) -> None:
    roles = tuple(role._replace(org="sch-2") for role in town.people.person(sourced_id).roles)
    unnamed(town, sourced_id, roles=roles)


NOT_NAMED: dict[str, Callable[[Town, str], None]] = {
    "another e-mail": lambda town, one: unnamed(town, one, email="quiet@example.org"),
    "another school": to_the_other_school,
    "another name": lambda town, one: unnamed(town, one, given_name="Quiet"),
}


@pytest.mark.parametrize("what", list(NOT_NAMED))
@pytest.mark.parametrize("proved", [False, True], ids=["not proved yet", "used for days"])
def test_one_change_that_is_not_named_switches_changes_only_off_and_tells_the_owners(
    town: Town, what: str, proved: bool
) -> None:
    town.set_connection(delta=True)
    town.add_school(report_to=["it@example.org"], automatic=True)
    town.run_sync()
    if proved:
        prove_changes(town)
        town.run_sync()
        assert modes(town)[-1] == "delta"
        week_ago = """proof || '{"full_at": "2020-01-01T00:00:00+00:00"}'"""
        with town.database.begin() as conn:
            conn.execute(text(f"update pull set proof = {week_ago}"))
    NOT_NAMED[what](town, students(town)[0])
    night = town.run_sync()
    assert night["updated"] + night["archived"] == 1, "the full pull has it"
    assert not is_on(town)
    assert learned(town) == []
    assert [subject for subject, _ in mails(town)] == [
        "Connection sis: the SIS did not name 1 person who had changed, so everything is fetched every night"
    ]
    assert town.count("audit", "what = 'connection changed' and reason like '%did not name 1%'") == 1
    assert town.count("outbox", "html like '%quiet@example%' or html like '%Quiet%'") == 0
    town.run_sync()
    assert modes(town)[-1] == "full"
    assert len(mails(town)) == 1


def test_a_server_that_compares_days_alone_is_never_called_honoured(town: Town) -> None:
    town.sis.faults.set("dates_compared=by_day")
    town.set_connection(delta=True)
    town.add_school()
    town.run_sync()
    town.people.edit(students(town)[0], email="new@example.org")
    town.people.move(students(town)[1], "sch-2")
    town.run_sync()
    assert learned(town) == ["email", "membership"]
    assert said_by_the_test(town) == "understood, not yet proved for changes of one day; full pulls are used until then"
    town.run_sync()
    assert set(modes(town)) == {"full"}


def test_a_change_behind_a_clock_that_ran_ahead_is_still_fetched(town: Town) -> None:
    town.set_connection(delta=True)
    town.add_school()
    town.run_sync()
    prove_changes(town)
    with town.database.begin() as conn:
        ahead = """jsonb_set(proof, '{server_time}', to_jsonb((now() + interval '3 days')::text))"""
        conn.execute(text(f"update pull set proof = {ahead}"))
    town.people.rename(students(town)[0], given_name="Changed")
    assert town.run_sync()["updated"] == 1
    assert modes(town)[-1] == "delta"


def test_a_clock_that_is_wrong_now_is_told_and_changes_alone_are_not_believed(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.set_connection(delta=True)
    town.add_school()
    town.run_sync()
    prove_changes(town)
    right = endpoint._utc_now
    monkeypatch.setattr(
        endpoint.Clock, "__init__", _behind(endpoint.Clock.__init__, lambda: right() - timedelta(hours=48))
    )
    town.people.rename(students(town)[0], given_name="Changed")
    assert town.run_sync()["updated"] == 1
    assert modes(town)[-1] == "full"
    with town.database.begin() as conn:
        (stored,) = conn.scalars(text("select report -> 'connection' ->> 'clock' from sync order by id desc limit 1"))
    assert stored == "48.0 hours ahead"


def _behind(init: Callable[..., None], now: Callable[[], object]) -> Callable[..., None]:
    def made(self: endpoint.Clock, **given: object) -> None:
        init(self, **({"now": now} | given))

    return made
