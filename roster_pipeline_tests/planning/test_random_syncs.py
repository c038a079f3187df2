"""Properties of every plan, over random syncs of a changing SIS and its directory."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.plan import Plan, make_plan
from roster_pipeline.settings.school import RoleSettings, SchoolSettings
from roster_pipeline.vocabulary import CHANGING
from roster_pipeline_tests.invariants.histories import histories
from roster_pipeline_tests.planning.builders import HERE, Directory, cleaned, entry, school, user

FEW = settings(
    max_examples=histories(10, 500),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
"""A sync takes some 30 ms; the phase that explains a failure would trace pandas and takes minutes."""
ROLES = ("student", "teacher", "aide", "principal", "parent", "ext:guest")

names = st.sampled_from(["Ann", "Bob", "Cho", "Dee", None])
switches = st.builds(RoleSettings, rostered=st.booleans(), auto_update=st.booleans(), archive=st.booleans())
schools = st.builds(
    school,
    students=switches,
    teachers=switches,
    staff=switches,
    primary_contacts=st.booleans(),
    preferred_names=st.booleans(),
    restore_archived_by_hand=st.booleans(),
)
entries = st.builds(
    lambda role, org, dates: entry(role, org, **dates),
    st.sampled_from(ROLES),
    st.sampled_from([HERE, HERE, HERE, "s2", None]),
    st.sampled_from([{}, {}, {}, {"end": "2026-01-01"}, {"begin": "2027-01-01"}]),
)


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A snapshot with few different ids, numbers, names and e-mails, so that they collide."""
    ids = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8))
    return [
        user(
            sourced_id,
            status=draw(st.sampled_from(["active", "active", "active", "tobedeleted", "odd"])),
            enabledUser=draw(st.sampled_from([True, True, False, None])),
            givenName=draw(names),
            familyName=draw(names),
            preferredFirstName=draw(names),
            identifier=draw(st.sampled_from([None, sourced_id, "1", "2"])),
            email=draw(st.sampled_from([None, f"{sourced_id}@example.org", "home@example.org", "no mail"])),
            grades=draw(st.sampled_from([[], ["9"], ["10", "11"]])),
            roles=draw(st.lists(entries, max_size=2)),
            agents=draw(st.lists(st.sampled_from("abcdefghz"), max_size=2)),
        )
        for sourced_id in ids
    ]


syncs = st.lists(records(), min_size=1, max_size=4)


def run(directory: Directory, users: list[dict[str, Any]], wishes: SchoolSettings) -> Plan:
    """One sync; the whole plan is applied, and the second witness confirms."""
    contacts = [user("z", "guardian", roles=[entry("guardian", None)])]
    roster = cleaned(users, wishes, contacts).roster
    snapshot = SnapshotFacts(complete=True)
    plan = make_plan(roster, directory.frames(), wishes, snapshot).witnessed(dict.fromkeys("abcdefgh", "gone"))
    directory.apply(plan)
    return plan


@FEW
@given(syncs, schools)
def test_applying_a_plan_and_planning_again_changes_nothing(
    several: list[list[dict[str, Any]]], wishes: SchoolSettings
) -> None:
    directory = Directory()
    for users in several:
        run(directory, users, wishes)
        again = run(directory, users, wishes).rows
        assert not again["action"].isin(CHANGING).any(), again[["action", "reason", "changes"]].to_dict("records")


@FEW
@given(syncs, schools, st.randoms(use_true_random=False))
def test_the_order_of_records_and_of_directory_rows_never_changes_a_plan(
    several: list[list[dict[str, Any]]], wishes: SchoolSettings, chance: Any
) -> None:
    directory = Directory()
    for users in several[:-1]:
        run(directory, users, wishes)
    told = directory.plan(several[-1], wishes)
    shuffled = list(several[-1])
    chance.shuffle(shuffled)
    chance.shuffle(directory.links)
    for table in (directory.people, directory.members):
        rows = list(table.items())
        chance.shuffle(rows)
        table.clear()
        table.update(rows)
    again = directory.plan(shuffled, wishes)
    assert again.hash == told.hash
    assert again.rows.to_json() == told.rows.to_json()


@FEW
@given(syncs, schools)
def test_no_person_has_two_rows_and_no_record_is_created_twice(
    several: list[list[dict[str, Any]]], wishes: SchoolSettings
) -> None:
    directory = Directory()
    for users in several:
        rows = run(directory, users, wishes).rows
        doing = rows[rows["action"] != "conflict"]
        assert not doing["person_id"].dropna().duplicated().any()
        links = [link for links in rows["new_links"] for link in links]
        assert len(links) == len(set(links))
        owners = {link["sourced_id"] for link in directory.links}
        assert len(owners) == len(directory.links)
        with_primary = [link["person_id"] for link in directory.links if link["is_primary"]]
        assert len(with_primary) == len(set(with_primary))


@FEW
@given(syncs, schools)
def test_nobody_is_archived_without_absence(several: list[list[dict[str, Any]]], wishes: SchoolSettings) -> None:
    directory = Directory()
    for users in several:
        before = {link["sourced_id"]: link["person_id"] for link in directory.links}
        known = dict(directory.members)
        roster = cleaned(users, wishes).roster
        here = roster.loc[roster["record_status"].isin(["member", "role_off", "unmapped", "rejected"]), "sourced_id"]
        rows = run(directory, users, wishes).rows
        archived = rows.loc[rows["action"] == "archive", "person_id"]
        assert not {before.get(sourced_id) for sourced_id in here} & set(archived)
        for who in archived:
            assert wishes.role(known[who]["role"]).archive


@FEW
@given(syncs, schools, st.sampled_from([SnapshotFacts(complete=True, mode="delta")]))
def test_a_list_of_changes_archives_only_whom_it_marks_as_deleted(
    several: list[list[dict[str, Any]]], wishes: SchoolSettings, delta: SnapshotFacts
) -> None:
    directory = Directory()
    for users in several[:-1]:
        run(directory, users, wishes)
    rows = directory.plan(several[-1], wishes, delta).rows
    deleted = {record["sourcedId"] for record in several[-1] if record["status"] == "tobedeleted"}
    for records_of in rows.loc[rows["action"] == "archive", "sourced_ids"]:
        assert set(records_of) <= deleted


@pytest.mark.parametrize("mode", ["full", "school"])
def test_a_leaver_leaves_and_comes_back_as_the_same_person(mode: Any) -> None:
    directory = Directory()
    run(directory, [user("a"), user("b")], school())
    assert list(run(directory, [user("b")], school()).rows["action"]) == ["unchanged", "archive"]
    assert directory.members[1]["status"] == "archived"
    returned = directory.plan([user("a"), user("b")], school(), SnapshotFacts(complete=True, mode=mode))
    directory.apply(returned)
    assert sorted(returned.rows["action"]) == ["restore", "unchanged"]
    assert len(directory.people) == 2
