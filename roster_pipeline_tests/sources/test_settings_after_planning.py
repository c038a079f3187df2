"""Settings that are changed after a plan was made: what it would do is not what the school wants any more."""

from typing import Any

import pytest

from roster_pipeline import sync
from roster_pipeline.directory.database import Database
from roster_pipeline.services import decisions
from roster_pipeline.sync import SyncError
from roster_pipeline_tests.district import EVERYTHING
from roster_pipeline_tests.sources.conftest import School, Source, pupil

KEEP = {"students": EVERYTHING | {"archive": False}}
LEAVERS = 7


@pytest.fixture
def school(database: Database, rest: Source) -> School:
    """Seven of thirty pupils left, and their archival waits."""
    begun = School.begun(database, rest, [pupil(place) for place in range(30)])
    rest.users = rest.users[LEAVERS:]
    begun.sync()
    return begun


def _approve(school: School) -> int:
    newest = school.value("select max(id) from plan")
    return decisions.approve(school.database, school.school, newest, who="owner", reason="they left").changed


def test_an_approval_does_what_the_settings_of_today_want_or_nothing(school: School) -> None:
    here: dict[str, Any] = {"school_id": "s1", "role_map": {}, "students": EVERYTHING}
    for changed in ({"school_id": "s2"}, {"role_map": {"aide": "teacher"}}, KEEP, {"students": {"rostered": False}}):
        school.choose(**changed)
        with pytest.raises(SyncError, match="settings were changed") as caught:
            _approve(school)
        assert f"roster sync {school.school}" in caught.value.remedy
        school.choose(**here)
    url = school.source.url
    school.set_connection(url=url.replace("v1p1", "other"))
    with pytest.raises(SyncError, match="settings were changed"):
        _approve(school)
    school.set_connection(url=url)
    assert len(school.present) == 30
    school.choose(report_to=["it@alder.example"], automatic=True, sync_time="21:00", guards={"archive_share": 0.2})
    assert _approve(school) == LEAVERS, "these settings change nobody"


def test_people_of_another_school_get_no_new_ids(school: School) -> None:
    school.source.users = [one | {"sourcedId": f"new-{one['sourcedId']}"} for one in school.source.users]
    school.sync()
    assert "rekeyed" in school.guards
    school.choose(school_id="s2")
    newest = school.value("select max(id) from plan")
    with pytest.raises(SyncError, match="settings were changed"):
        decisions.relink(school.database, school.school, newest, who="owner", reason="a new SIS")
    assert school.count("link", "sourced_id like 'new-%'") == 0


def test_a_sync_whose_settings_are_changed_between_plan_and_apply_plans_again(
    database: Database, school: School, rest: Source
) -> None:
    rest.users = [*rest.users, *(pupil(place) for place in range(1, LEAVERS))]
    sync.fetch(database, school.school, batch="again", run_id=None)
    sync.clean_latest(database, school.school, run_id=None)
    assert not sync.plan_latest(database, school.school, run_id=None).held
    school.choose(**KEEP)
    applied = sync.apply_latest(database, school.school, run_id=None, who="test")
    assert (applied.by_action["archive"], len(school.present)) == (0, 30)
