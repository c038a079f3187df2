"""A Client Secret with a last day: one mail two weeks before, one three days before, and one when it is renewed."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from roster_pipeline.directory import tenants
from roster_pipeline.directory.alerts import EXPIRES, EXPIRES_SOON
from roster_pipeline.services.settings_changes import change_connection
from roster_pipeline.sync.alerts import stage_of
from roster_pipeline.sync.monitoring import watch
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import alert_mails, two_schools

LAST_DAY = date(2027, 6, 1)
STAGES = [(15, None), (14, EXPIRES), (4, EXPIRES), (3, EXPIRES_SOON), (0, EXPIRES_SOON), (-40, EXPIRES_SOON)]


def before(days: int) -> datetime:
    """Noon, this many days before the last day."""
    return datetime.combine(LAST_DAY - timedelta(days=days), time(12), UTC)


@pytest.mark.parametrize(("left", "stage"), STAGES)
def test_a_secret_has_two_stages(left: int, stage: str | None) -> None:
    assert stage_of(LAST_DAY, before(left).date()) == stage


def test_each_stage_is_one_mail_to_all_schools_of_the_connection_and_a_renewal_one_all_clear(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_ALERTS_TO", "ops@example.org")
    two_schools(district, automatic=False)
    district.set_connection(secret_expires=LAST_DAY)
    told = []
    for days in (20, 15, 14, 13, 4, 3, 1, 0, -1):
        seen = watch(district.database, before(days))
        if seen.opened:
            told.append(days)
        district.run_sync("lincoln", f"night {days}")
        assert watch(district.database, before(days)).opened == 0
    assert told == [14, 3]
    assert [subject for subject, _ in alert_mails(district)] == [
        "Connection sis: the Client Secret of sis ends on Tue 1 Jun 2027"
    ] * 2
    assert {tuple(to) for _, to in alert_mails(district)} == {
        ("lincoln@example.org", "roosevelt@example.org", "ops@example.org")
    }
    assert district.count("alert", "cleared_at is null") == 1
    district.set_connection(secret_expires=date(2028, 6, 1))
    assert watch(district.database, before(-1)).cleared == 1
    assert watch(district.database, before(-1)).cleared == 0
    assert alert_mails(district)[-1][0] == "Connection sis: the Client Secret was renewed"
    assert district.count("alert", "cleared_at is null") == 0


def test_a_last_day_that_is_taken_away_or_moved_a_little_ends_the_stage(district: District) -> None:
    two_schools(district, automatic=False)
    district.set_connection(secret_expires=LAST_DAY)
    assert watch(district.database, before(2)).opened == 1
    district.set_connection(secret_expires=LAST_DAY + timedelta(days=7))
    assert watch(district.database, before(2)).opened == 1
    with district.database.begin() as conn:
        settings = tenants.get_connection(conn, "sis").settings.model_copy(update={"secret_expires": None})
        change_connection(conn, "sis", who="test", settings=settings)
    assert district.count("alert", "cleared_at is null") == 0, "in the transaction of that change"
    assert watch(district.database, before(2)).cleared == 0
    assert len(alert_mails(district)) == 3


def test_an_expired_secret_is_reported_and_hides_no_silent_school(district: District) -> None:
    two_schools(district)
    district.set_connection(secret_expires=LAST_DAY)
    assert watch(district.database, before(-30)).opened == 3, "the secret, and two schools that nothing is heard of"
    assert "ended on Tue 1 Jun 2027" in alert_mails(district)[-1][0]
