"""A SIS that loses a few people night after night, over REST: when their archivals wait, and who does not count."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from roster_pipeline.directory import lasting_decisions, tenants
from roster_pipeline.directory.absences import recent_losses
from roster_pipeline_tests.district import Begun
from roster_pipeline_tests.sources.conftest import School, Source, begun_once, pupil, teacher
from roster_pipeline_tests.sources.test_guards import approve

PUPILS = 60
GRADES = ("08", "09", "10")
TIMES = (("membership", "archived_at"), ("sync", "at"), ("announced_leaver", "day"))
EARLIER = "update {} set {} = {} - make_interval(days => :days)"


EVERYBODY = [*(pupil(place, grades=GRADES[place % 3]) for place in range(PUPILS)), *map(teacher, range(6))]


@pytest.fixture(scope="module")
def begun(postgres_template: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun[School]]:
    source = Source("rest", tmp_path_factory.mktemp("sis"))
    with begun_once(postgres_template, source, partial(School.begun, users=EVERYBODY)) as made:
        yield made


@pytest.fixture
def school(begun: Begun[School]) -> Iterator[School]:
    with begun.copied() as made:
        yield made


@pytest.fixture(scope="module")
def lost_eight(begun: Begun[School]) -> Iterator[Begun[School]]:
    with begun.copied() as school:
        assert lose(school, 8) == 0
        yield Begun(school, school.source)


@pytest.fixture
def losing(lost_eight: Begun[School]) -> Iterator[School]:
    """After eight nights, in each of which one pupil below the highest grade vanished."""
    with lost_eight.copied() as made:
        yield made


def days_pass(school: School, days: int) -> None:
    """What happened so far was this many days earlier."""
    with school.database.begin() as conn:
        for table, column in TIMES:
            conn.execute(text(EARLIER.format(table, column, column)), {"days": days})


def leave(school: School, *pupils: int) -> dict[str, str]:
    """These pupils vanish, and a night passes."""
    days_pass(school, 1)
    gone = {f"st{place}" for place in pupils}
    school.source.users = [one for one in school.source.users if one["sourcedId"] not in gone]
    return school.sync()


def lose(school: School, nights: int) -> int:
    """One pupil below the highest grade vanishes each night. Returns the night that holds something, or 0."""
    here = [int(one["sourcedId"][2:]) for one in school.source.users if one["sourcedId"].startswith("st")]
    for night, place in enumerate([place for place in here if place % 3 < 2][:nights], start=1):
        leave(school, place)
        if school.guards:
            return night
    return 0


def lost(school: School) -> dict[str, int]:
    """The lost students by grade."""
    row = school.database.call(tenants.get_school, "alder")
    found = school.database.call(recent_losses, row, lately=14, long=60)
    return {line.grade: line.long for line in found if line.role == "student" and line.long}


def test_a_slow_loss_waits_once_a_fifth_was_archived_and_begins_anew_after_an_approval(losing: School) -> None:
    school = losing
    assert lose(school, 4) == 1, "nine of the forty below the highest grade are more than a fifth"
    assert school.guards == {"slow_loss"}
    assert len(school.present) == PUPILS + 6 - 8
    (line,) = school.rows("select verdict, rows, findings from verdict where plan_id = (select max(id) from plan) "
                          "and role = 'student' and action = 'archive'")  # fmt: skip
    assert (line["verdict"], line["rows"]) == ("hold", 1)
    assert "9 of 40 students below the highest grade would have been archived within 60 days, 1 of them now" in str(
        line
    )
    approve(school)
    assert lost(school) == {}, "what somebody approved settles the earlier archivals too"
    assert lose(school, 6) == 0
    assert sum(lost(school).values()) == 6


def test_whoever_comes_back_is_not_lost(losing: School) -> None:
    losing.source.users = EVERYBODY
    losing.sync()
    assert lost(losing) == {}


def test_whoever_comes_back_in_the_same_sync_is_not_lost(losing: School) -> None:
    losing.source.users = EVERYBODY
    reasons = leave(losing, 18, 19, 21)
    assert list(reasons.values()).count("returned") == 8
    assert not losing.guards
    assert "st18" not in losing.present


def test_archivals_of_long_ago_do_not_count(losing: School) -> None:
    days_pass(losing, 52)
    assert sum(lost(losing).values()) == 8
    days_pass(losing, 1)
    assert sum(lost(losing).values()) == 7
    assert lose(losing, 1) == 0


def test_announced_leavers_archivals_by_hand_and_approved_ones_do_not_count(school: School) -> None:
    with school.database.begin() as conn:
        numbers = conn.scalars(text("select person_id from link where sourced_id in ('st0', 'st1') order by 1")).all()
        row, today = tenants.get_school(conn, "alder"), datetime.now(UTC).date()
        lasting_decisions.announce_leavers(conn, row, numbers, today, "owner", "they move")
    leave(school, 0, 1, 3)
    assert lost(school) == {"08": 1}
    with school.database.begin() as conn:
        conn.execute(text("update membership set status = 'archived', archived_by = 'hand', archived_at = now() "
                          "where person_id = (select person_id from link where sourced_id = 'st4')"))  # fmt: skip
    assert lost(school) == {"08": 1}
    school.choose(guards={"windows": [{"first": today, "last": today, "kind": "blackout"}]})
    leave(school, 6, 7)
    approve(school)
    assert "st7" not in school.present
    assert lost(school) == {"08": 1}, "an approval for another reason does not settle the earlier one"
    school.choose(guards={"archive_share": 0.01})
    leave(school, 9)
    assert school.guards == {"archivals"}
    approve(school)
    assert lost(school) == {}


def test_the_highest_grade_may_leave_one_by_one_over_a_month(school: School) -> None:
    for place in range(2, PUPILS, 3):
        days_pass(school, 1)
        assert leave(school, place) is not None
        assert school.guards == set()
    assert "st2" not in school.present


def test_a_night_that_archives_nobody_does_not_count_losses(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("roster_pipeline.sync.plan_and_apply.recent_losses", lambda *given, **more: asked.append(given))
    school.source.users = [EVERYBODY[0] | {"phone": "+13125550100"}, *EVERYBODY[1:]]
    school.sync()
    assert asked == []
