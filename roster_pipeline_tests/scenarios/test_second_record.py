"""A SIS gives an id to a brother or sister of somebody whom another SIS has too, and whose fields follow that SIS."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.engine import URL

from roster_pipeline.directory import manual_edits, rollback, tenants
from roster_pipeline.directory.operations import erase
from roster_pipeline.services import possible_duplicates
from roster_pipeline.sync import one_person
from roster_pipeline_tests.directory.builders import Decision
from roster_pipeline_tests.district import Begun
from roster_pipeline_tests.invariants.several_connections import SeveralConnections, begun_once

BY = Decision(who="manager", reason="looked at it")
ADA: dict[str, Any] = {"given_name": "Ada", "family_name": "Byron", "email": "byron@home.example", "grades": ("05",)}
NUMBERS = {"main": "77", "east": "E-12"}
BEN = {"given_name": "Ben", "identifier": "E-13", "username": ""}
"""What is new in the record that now is her brother's."""
DOUBTED = ["id_reassigned"]


@pytest.fixture(scope="module")
def begun(postgres_template: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun[SeveralConnections]]:
    """Ada is in `main`, whose record her fields follow, and in `east`, which has another number of hers."""

    def ada_comes(made: SeveralConnections) -> None:
        made.control("east", "district")
        for key, number in NUMBERS.items():
            made.deliver(key, f"{key}-ada", username=f"ada.{key}", identifier=number, **ADA)
            made.night(key)
        follows(made, "main")

    with begun_once(postgres_template, tmp_path_factory.mktemp("home"), follows=ada_comes) as made:
        yield made


@pytest.fixture
def district(begun: Begun[SeveralConnections]) -> Iterator[SeveralConnections]:
    with begun.copied() as made:
        yield made


def changed(district: SeveralConnections, key: str = "east", **fields: Any) -> list[str]:
    """Ada's record comes with these values; returns who is left alone, by reason."""
    district.sises[key].district.edit(f"{key}-ada", **fields)
    district.night(key)
    return district.reasons(key)


def follows(district: SeveralConnections, key: str) -> None:
    """Assert that Ada has both records, and that her fields are those of this one."""
    ada = district.of("east-ada")
    assert (ada["links"][0], len(ada["links"]), ada["number"]) == (f"{key}-ada", 2, NUMBERS[key])
    assert (ada["given_name"], ada["schools"]) == ("Ada", ["east", "main"])


def said(district: SeveralConnections) -> dict[str, tuple[str, str | None]]:
    """The names and numbers that are remembered, by record."""
    rows = district.rows("select sourced_id, given_name, number from link_record")
    return {row["sourced_id"]: (row["given_name"], row["number"]) for row in rows}


@pytest.mark.parametrize(
    ("fields", "doubted"),
    [
        (BEN, True),
        (BEN | {"grades": ("04",)}, True),
        (BEN | {"username": "ben.east", "email": "ben@home.example"}, True),
        (BEN | {"given_name": "Ada", "family_name": "Hale", "email": "hale@home.example"}, True),
        # as with a primary record, one new value alone is normal
        (BEN | {"given_name": "Ada"}, False),
        (BEN | {"identifier": "E-12"}, False),
        (BEN | {"identifier": ""}, False),
        ({"family_name": "Hale", "username": "hale.east", "email": "hale@home.example"}, False),
        # and so is another spelling of the number
        (BEN | {"identifier": "e-12"}, False),
        (BEN | {"identifier": "00E-12"}, False),
        # the record's own user name makes the link safe
        (BEN | {"username": "ada.east"}, False),
    ],
    ids=lambda value: None if isinstance(value, bool) else " ".join(map(str, value.values())),
)
def test_an_id_that_went_to_a_brother_is_noticed_by_what_its_record_said_before(
    district: SeveralConnections, fields: dict[str, Any], doubted: bool
) -> None:
    for _ in range(2):
        assert changed(district, **fields) == (DOUBTED if doubted else [])
    follows(district, "main")


def test_the_brother_is_a_person_of_his_own_once_somebody_says_so(district: SeveralConnections) -> None:
    assert changed(district, **BEN) == DOUBTED
    ada = district.of("main-ada")["id"]
    with district.database.begin() as conn:
        manual_edits.unlink(conn, tenants.get_connection(conn, "east"), ada, "east-ada", **BY)
    assert said(district) == {}
    assert changed(district) == ["not_linked"]
    ben = district.of("east-ada")
    assert (ben["id"] == ada, ben["given_name"], ben["number"]) == (False, "Ben", "E-13")


def test_a_confirmed_record_is_hers_and_later_compared_with_what_it_says_now(district: SeveralConnections) -> None:
    assert changed(district, **BEN) == DOUBTED
    with district.database.begin() as conn:
        manual_edits.link(conn, tenants.get_connection(conn, "east"), district.of("main-ada")["id"], "east-ada", **BY)
    assert changed(district) == []
    assert said(district) == {"east-ada": ("Ben", "E-13")}


def test_both_sises_may_give_her_ids_to_one_brother_in_one_night(district: SeveralConnections) -> None:
    assert changed(district, "main", **BEN | {"identifier": "78"}) == DOUBTED
    assert changed(district, **BEN) == DOUBTED
    follows(district, "main")


def test_names_that_one_sis_spells_in_its_own_way_and_numbers_that_all_change_hold_nobody(
    district: SeveralConnections,
) -> None:
    assert changed(district, given_name="Adelheid") == []
    assert changed(district, identifier="9-1", username="new.east") == []
    assert changed(district, identifier="9-2", email="ada@east.example") == []
    follows(district, "main")


def test_numbers_from_another_place_hold_nobody(district: SeveralConnections) -> None:
    district.set_connection("east", student_number_from="username")
    assert said(district) == {"east-ada": ("Ada", None)}
    assert changed(district, given_name="Adelheid") == []
    assert said(district) == {"east-ada": ("Adelheid", "ada.east")}


def test_the_first_night_after_the_upgrade_compares_with_nothing_and_remembers(district: SeveralConnections) -> None:
    district.execute("delete from link_record")
    prints = district.everybody()
    assert changed(district) == []
    assert district.everybody() == prints
    assert said(district) == {"east-ada": ("Ada", "E-12")}


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_record_that_is_not_the_primary_one_any_more_is_compared_from_that_night_on(
    district: SeveralConnections, by_hand: bool
) -> None:
    if by_hand:
        ada = district.of("main-ada")["id"]
        with district.database.begin() as conn:
            manual_edits.set_primary_record(conn, tenants.get_connection(conn, "east"), ada, "east-ada", **BY)
    else:
        district.rank("east")
    assert changed(district, phone="+13125550100") == []
    follows(district, "east")
    assert said(district) == {"main-ada": ("Ada", "77"), "east-ada": ("Ada", "E-12")}
    assert changed(district, "main", **BEN | {"identifier": "78"}) == DOUBTED
    follows(district, "east")


def test_a_primary_record_that_changes_step_by_step_is_not_doubted_when_it_is_the_second_again(
    district: SeveralConnections,
) -> None:
    district.rank("east")
    assert changed(district, identifier="E-20") == []
    assert changed(district, given_name="Adelheid") == []
    district.rank("main")
    assert changed(district, "main", phone="+13125550100") == []
    assert changed(district, username="adelheid.east") == []


def test_a_night_that_waits_remembers_nothing(district: SeveralConnections) -> None:
    window = {"kind": "blackout", "first": "2000-01-01", "last": "2099-01-01"}
    district.set_school("east", guards={"windows": [window]})
    assert changed(district, given_name="Adelheid") == []
    assert said(district) == {"east-ada": ("Ada", "E-12")}


def test_a_rollback_forgets_what_its_night_has_heard(district: SeveralConnections) -> None:
    district.sises["east"].district.edit("east-own0", phone="+13125550100")
    assert changed(district, given_name="Adelheid", identifier="") == []
    assert said(district) == {"east-ada": ("Adelheid", "E-12")}
    sync_id = district.value("select max(id) from sync")
    district.database.call(rollback.roll_back, sync_id, **BY)
    assert said(district) == {}
    assert changed(district, given_name="Ada", identifier="E-99") == []


def test_a_merge_and_its_undo_doubt_nobody(district: SeveralConnections) -> None:
    district.deliver("main", "main-twin", given_name="Ada", family_name="Byron")
    district.night("main")
    people = district.of("main-twin")["id"], district.of("main-ada")["id"]
    district.sises["main"].district.remove("main-twin", how="mark")
    district.night("main")
    with district.database.begin() as conn:
        possible_duplicates.merge(conn, district.district_id, *people, **BY)
        possible_duplicates.undo_merge(conn, district.district_id, people[0], **BY)
    assert changed(district) == []
    assert changed(district, **BEN) == DOUBTED


def test_an_erasure_removes_what_the_records_said(district: SeveralConnections) -> None:
    ada = district.of("main-ada")["id"]
    with district.database.begin() as conn:
        erase(conn, district.district_id, ada, **BY)
    assert said(district) == {}


def test_a_sync_of_one_person_remembers_nobody_else(district: SeveralConnections) -> None:
    district.execute("delete from link_record")
    planned = one_person.make_plan(district.database, "east", district.of("east-own0")["id"])
    one_person.apply_plan(district.database, "east", planned.plan_id, **BY)
    assert said(district) == {}
