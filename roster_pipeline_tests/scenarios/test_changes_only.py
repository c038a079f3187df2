"""Only changes are fetched once the SIS has named every kind of change; a change that it does not name ends that."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from roster_pipeline.directory import tenants
from roster_pipeline.oneroster.http import endpoint
from roster_pipeline.sync.connection_checks import check_connection
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import alert_mails
from roster_pipeline_tests.scenarios.test_fetching import prove_changes


def students(district: District) -> list[str]:
    return [one.sourced_id for one in district.people.people_of("sch-1", "student")]


def modes(district: District) -> list[str]:
    with district.database.begin() as conn:
        return list(conn.scalars(text("select mode from snapshot order by id")))


def learned(district: District) -> list[str]:
    return list(district.database.call(tenants.get_connection, "sis").learned.get("delta_proved", []))


def said_by_the_test(district: District) -> str:
    return next(
        item["detail"] for item in check_connection(district.database, "lincoln") if item["name"] == "Changes only"
    )


def test_changes_alone_are_fetched_once_every_kind_of_change_was_named(district: District) -> None:
    district.set_connection(delta=True)
    district.add_school()
    district.run_sync()
    district.people.edit(students(district)[0], email="new@example.org")
    district.run_sync()
    assert learned(district) == ["email", "same_day"]
    assert "not yet proved for changes of school or role" in said_by_the_test(district)
    district.people.move(students(district)[1], "sch-2")
    district.run_sync()
    assert set(learned(district)) == {"email", "membership", "same_day"}
    assert said_by_the_test(district) == "honoured"
    district.people.rename(students(district)[2], given_name="Changed")
    assert district.run_sync()["updated"] == 1
    assert modes(district) == ["full", "full", "full", "delta"]


def test_a_pupil_who_moves_to_another_school_in_a_change_leaves_the_old_one(district: District) -> None:
    district.set_connection(delta=True)
    for key, school in (("lincoln", "sch-1"), ("jefferson", "sch-2")):
        district.add_school(key, school)
        district.run_sync(key, "first")
    prove_changes(district)
    before = district.active()
    district.people.move(students(district)[0], "sch-2")
    assert [district.run_sync(key, "second")["archived"] for key in ("jefferson", "lincoln")] == [0, 1]
    assert (modes(district)[-2:], district.active()) == (["delta", "delta"], before)


def unnamed(district: District, sourced_id: str, **fields: object) -> None:
    """A change without a new date of change."""
    person = district.people.person(sourced_id)._replace(**fields)  # type: ignore[arg-type]
    with district.people.lock:
        district.people.changed[person.row] = person
        district.people.revision += 1


def to_the_other_school(district: District, sourced_id: str) -> None:
    roles = tuple(role._replace(org="sch-2") for role in district.people.person(sourced_id).roles)
    unnamed(district, sourced_id, roles=roles)


NOT_NAMED: dict[str, Callable[[District, str], None]] = {
    "another e-mail": lambda district, one: unnamed(district, one, email="quiet@example.org"),
    "another school": to_the_other_school,
    "another name": lambda district, one: unnamed(district, one, given_name="Quiet"),
}


@pytest.mark.parametrize("what", list(NOT_NAMED))
@pytest.mark.parametrize("proved", [False, True], ids=["not proved yet", "used for days"])
def test_one_change_that_is_not_named_switches_changes_only_off_and_tells_the_owners(
    district: District, what: str, proved: bool
) -> None:
    district.set_connection(delta=True)
    district.add_school(report_to=["it@example.org"], automatic=True)
    district.run_sync()
    if proved:
        prove_changes(district)
        district.run_sync()
        assert modes(district)[-1] == "delta"
        week_ago = """proof || '{"full_at": "2020-01-01T00:00:00+00:00"}'"""
        district.execute(f"update pull set proof = {week_ago}")
    NOT_NAMED[what](district, students(district)[0])
    night = district.run_sync()
    assert night["updated"] + night["archived"] == 1, "the full pull has it"
    assert not district.database.call(tenants.get_connection, "sis").settings.delta
    assert learned(district) == []
    assert [subject for subject, _ in alert_mails(district)] == [
        "Connection sis: the SIS did not name 1 person who had changed, so everything is fetched every night"
    ]
    assert district.count("audit", "what = 'connection changed' and reason like '%did not name 1%'") == 1
    assert district.count("outbox", "html like '%quiet@example%' or html like '%Quiet%'") == 0
    district.run_sync()
    assert modes(district)[-1] == "full"
    assert len(alert_mails(district)) == 1


def test_a_server_that_compares_days_alone_is_never_called_honoured(district: District) -> None:
    district.sis.faults.set("dates_compared=by_day")
    district.set_connection(delta=True)
    district.add_school()
    district.run_sync()
    district.people.edit(students(district)[0], email="new@example.org")
    district.people.move(students(district)[1], "sch-2")
    district.run_sync()
    assert learned(district) == ["email", "membership"]
    assert (
        said_by_the_test(district)
        == "understood, not yet proved for changes of one day; full pulls are used until then"
    )
    district.run_sync()
    assert set(modes(district)) == {"full"}


def test_a_change_behind_a_clock_that_ran_ahead_is_still_fetched(district: District) -> None:
    district.set_connection(delta=True)
    district.add_school()
    district.run_sync()
    prove_changes(district)
    with district.database.begin() as conn:
        ahead = """jsonb_set(proof, '{server_time}', to_jsonb((now() + interval '3 days')::text))"""
        conn.execute(text(f"update pull set proof = {ahead}"))
    district.people.rename(students(district)[0], given_name="Changed")
    assert district.run_sync()["updated"] == 1
    assert modes(district)[-1] == "delta"


def test_a_wrong_clock_is_reported_and_changes_alone_are_not_trusted(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    district.set_connection(delta=True)
    district.add_school()
    district.run_sync()
    prove_changes(district)
    monkeypatch.setattr(
        endpoint.Clock, "__init__", _behind(endpoint.Clock.__init__, lambda: datetime.now(UTC) - timedelta(hours=48))
    )
    district.people.rename(students(district)[0], given_name="Changed")
    assert district.run_sync()["updated"] == 1
    assert modes(district)[-1] == "full"
    with district.database.begin() as conn:
        (stored,) = conn.scalars(text("select report -> 'connection' ->> 'clock' from sync order by id desc limit 1"))
    assert stored == "48.0 hours ahead"


def _behind(init: Callable[..., None], now: Callable[[], object]) -> Callable[..., None]:
    def made(self: endpoint.Clock, **given: object) -> None:
        init(self, **({"now": now} | given))

    return made
