"""People on pages: lists with search and filters, one person with everything, and who may do what."""

import json
import logging
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text

from roster_pipeline.directory import accounts, lasting_decisions, manual_edits, rosters
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.vocabulary import day
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, STRANGER, Browser, SignedIn
from roster_pipeline_tests.console.filling import fields_of
from roster_pipeline_tests.console.held_plans import (
    CREATES,
    MANY,
    SCRIPT,
    audited,
    clean_records,
    held_archive,
    words_of,
)
from roster_pipeline_tests.console.test_isolation import OF_A_PERSON, at
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    NOBODY,
    add_school,
    every,
    newcomer,
    one,
    person_of,
    row,
    snapshot_of,
    sync_rows,
    user,
    write_plan,
)
from roster_pipeline_tests.hostile_strings import leaked

NEIGHBOUR = "oak-owner@example.org"
PEOPLE = "/schools/lincoln/people"
WHY = {"reason": "the office said so"}


@pytest.fixture
def oak(database: Database, lincoln: SchoolRow, people_let_in: None) -> SchoolRow:
    """Another school of the district, with its own owner."""
    with database.begin() as conn:
        school = add_school(conn, "oak")
        accounts.grant(conn, NEIGHBOUR, Place(school_id=school.id), by="test")
        return school


@pytest.fixture
def ada(database: Database, lincoln: SchoolRow) -> int:
    """A pupil of lincoln alone, linked to the record u1."""
    changes = {"email": "ada@example.org", "number": "4711", "username": "alove", "grade": "09"}
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes=changes))
    return person_of(database, "u1")


def names_in(browser: Browser, path: str, **fields: str) -> list[str]:
    """The names of a list, in its order; with fields it is searched or filtered."""
    answer = browser.send_form(path, fields) if fields else browser.get(path)
    assert answer.status_code == 200
    return re.findall(r'<a href="/people/\d+"><bdi>([^<]*)</bdi>', answer.text)


def many(database: Database, school: SchoolRow) -> None:
    """Four people of a school, each with different values."""
    rows = [
        newcomer("p1", "Ada", changes={"email": "ada@example.org", "number": "100", "username": "al", "grade": "09"}),
        newcomer("p2", "Grace", changes={"family_name": "Hopper", "email": "grace@example.org", "grade": "10"}),
        newcomer("p3", "Alan", changes={"family_name": "Turing", "role": "teacher"}, role="teacher"),
        newcomer("p4", "Emmy", changes={"family_name": "Noether", "email": "emmy@example.org"}),
    ]
    sync_rows(database, school, *rows)


def test_every_word_counts_in_any_order_and_stands_in_no_address(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    many(database, lincoln)
    assert names_in(owner, PEOPLE) == ["Grace Hopper", "Ada Lovelace", "Emmy Noether", "Alan Turing"]
    for words in ("lovelace ada", "ADA love", "ada@example", "100", "al ada", "ovela"):
        assert names_in(owner, PEOPLE, q=words) == ["Ada Lovelace"]
    assert names_in(owner, PEOPLE, q="ada hopper") == []
    assert names_in(owner, f"{PEOPLE}?q=ada") == names_in(owner, PEOPLE), "an address searches nothing"


def test_somebody_is_found_by_everything_that_an_owner_knows_of_them(
    signed_in: SignedIn, owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow, oak: SchoolRow
) -> None:
    contact = {"contact_given_name": "Zoë", "contact_family_name": "Łukasz", "contact_email": "zoe@home.example"}
    changes = {"family_name": "Ångström Peña", "middle_name": "İrem", "email": "j@example.org", **contact}
    sync_rows(database, lincoln, newcomer("SIS-77", "José", changes=changes), newcomer("u2", "Jose"))
    found = "José Ångström Peña"
    decomposed = "Jose\u0301 pen\u0303a"
    number = str(person_of(database, "SIS-77"))
    for words in ("jose pena", "JOSÉ", decomposed, "angstrom", "irem", "sis-77", "zoe lukasz", "ZOE@home", number):
        assert found in names_in(owner, PEOPLE, q=words), words
    assert "Zoë Łukasz Lincoln, primary" in words_of(owner.get(f"/people/{number}").text)
    assert names_in(owner, PEOPLE, q="sis-7") == [], "a sourcedId counts as a whole"
    assert names_in(owner, PEOPLE, q="zoe jose") == [found]
    assert names_in(signed_in(NEIGHBOUR), "/schools/oak/people", q="zoe") == []
    assert found in names_in(manager, "/people", q="lukasz", district="springfield")
    plan = write_plan(database, lincoln, [row("update", int(number), links=["SIS-77"], reason="changed")])
    assert found in words_of(owner.send_form(f"/schools/lincoln/plans/{plan}", {"q": "ANGSTRÖM jose"}).text)

    database.call(manual_edits.set_archived, lincoln, int(number), True, who="test", reason="test")
    assert "Show 1 archived" in words_of(owner.send_form(PEOPLE, {"q": "pena"}).text)
    assert names_in(owner, PEOPLE, q="pena", status="archived") == [found]
    assert "archived" not in words_of(owner.send_form(PEOPLE, {"q": "nobody at all"}).text).split("Nobody fits.")[1]
    sync_rows(
        database, oak, row("create", int(number), reason="joined_school", changes={"role": "student"}, links=["o1"])
    )
    for words in ("zoe", "sis-77", number, "j@example"):
        assert names_in(owner, PEOPLE, q=words, status="archived") == [], f"oak looks after them now: {words}"
    assert names_in(owner, PEOPLE, q="pena", status="archived") == [found], "the name is still theirs to see"


def test_filters(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    many(database, lincoln)
    with database.begin() as conn:
        by = {"who": "test", "reason": "test"}
        district = lincoln.district_id
        manual_edits.set_excluded(conn, district, person_of(database, "p1"), True, **by)
        manual_edits.set_lock(conn, district, person_of(database, "p2"), "email", True, **by)
        manual_edits.set_archived(conn, lincoln, person_of(database, "p4"), True, **by)
        manual_edits.add(conn, lincoln, {"given_name": "Rosalind", "family_name": "Franklin", "role": "staff"}, **by)
    asked = person_of(database, "p3")
    write_plan(database, lincoln, [row("conflict", asked, links=["p9"], reason="several_matches", role="teacher")])
    for query, names in {
        "role=teacher": ["Alan Turing"],
        "grade=10": ["Grace Hopper"],
        "status=archived": ["Emmy Noether"],
        "status=all&role=student": ["Grace Hopper", "Ada Lovelace", "Emmy Noether"],
        "source=hand": ["Rosalind Franklin"],
        "mark=excluded": ["Ada Lovelace"],
        "mark=locked": ["Grace Hopper"],
        "mark=no_email": ["Rosalind Franklin", "Alan Turing"],
        "mark=conflict": ["Alan Turing"],
        "mark=nonsense&source=nonsense&role=nonsense": [
            "Rosalind Franklin", "Grace Hopper", "Ada Lovelace", "Alan Turing",
        ],
    }.items():  # fmt: skip
        assert names_in(owner, f"{PEOPLE}?{query}") == names, query
    assert "2 active students" in words_of(owner.get(PEOPLE).text)


def test_managers_see_the_people_of_their_districts_and_nobody_else_does(
    owner: Browser,
    manager: Browser,
    operator: Browser,
    database: Database,
    lincoln: SchoolRow,
    oak: SchoolRow,
    foreign: SchoolRow,
) -> None:
    sync_rows(database, lincoln, newcomer("a1", "Ada"))
    sync_rows(database, oak, newcomer("b1", "Beth"))
    sync_rows(database, foreign, newcomer("c1", "Carl"))
    assert names_in(manager, "/people") == ["Ada Lovelace", "Beth Lovelace"]
    assert names_in(manager, "/people", q="beth") == ["Beth Lovelace"]
    assert manager.get("/people?district=shelbyville").status_code == 404
    assert names_in(operator, "/people?district=shelbyville") == ["Carl Lovelace"]
    assert owner.get("/people?district=shelbyville").headers["location"] == PEOPLE, "an owner of one school"
    database.call(accounts.grant, OWNER, Place(school_id=foreign.id), by="test")
    assert names_in(owner, "/people?district=springfield") == ["Ada Lovelace"], "not those of the rest of the district"
    assert names_in(owner, "/people", district="springfield", q="beth") == []
    assert names_in(owner, "/people", district="shelbyville", q="carl") == ["Carl Lovelace"]
    assert "/people/duplicates" not in owner.get("/people?district=springfield").text
    database.call(accounts.grant, OWNER, Place(school_id=oak.id), by="test")
    assert names_in(owner, "/people", district="springfield") == ["Ada Lovelace", "Beth Lovelace"]


def test_a_search_says_who_waits_to_be_entered_and_whose_record_could_not_be_used(
    signed_in: SignedIn, owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow, oak: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada"))
    unclear = row("conflict", links=["u3"], reason="several_matches", changes={"given_name": "Alan"})
    rows = [newcomer("u2", "Grace"), unclear]
    snapshot = snapshot_of(
        database, lincoln, user("u4", lincoln.settings.school_id, givenName="Emmy", familyName="Noether")
    )
    columns = ["collection", "sourced_id", "field", "rule", "severity", "role"]
    with database.begin() as conn:
        wrong = pd.DataFrame([("users", "u4", "role", "unmapped_role", "error", None)], columns=columns)
        rosters.write(conn, snapshot, NOBODY, wrong)
    plan = write_plan(database, lincoln, rows, held={CREATES: [MANY]}, snapshot_id=snapshot)
    named = {"given_name": "Mary", "family_name": "Somerville"}
    clean_records(
        database,
        plan,
        {"sourced_id": "u5", "record_status": "role_off", "role": "teacher", **named},
        {"sourced_id": "u6", "record_status": "elsewhere", "role": "teacher", **named},
        {"sourced_id": "u7", "record_status": "role_off", "role": "contact", **named},
    )
    for browser, path in ((owner, PEOPLE), (manager, PEOPLE), (manager, "/people")):
        mary = words_of(browser.send_form(path, {"q": "mary"}).text)
        assert "of Lincoln, record u5 no place here Their role is not rostered." in mary
        assert "u6" not in mary, "another school's"
        assert "u7" not in mary, "a parent is found by their child"
        grace = browser.send_form(path, {"q": "GRACE love"}).text
        assert "Grace Lovelace student of Lincoln, record u2" in words_of(grace), path
        assert re.search(r"create *held New in the SIS. Look and decide", words_of(grace)), path
        assert 'href="/schools/lincoln/holds"' in grace
        assert 'href="/schools/lincoln/conflicts"' in browser.send_form(path, {"q": "alan"}).text
        emmy = words_of(browser.send_form(path, {"q": "noether emmy"}).text)
        assert "record u4 not used The record has no role that this school maps" in emmy
        assert "Not in the directory" not in browser.send_form(path, {"q": "nobody"}).text
    assert "Not in the directory" not in owner.send_form(PEOPLE, {"q": "ada"}).text
    assert "Emmy Noether" in words_of(owner.send_form(f"/schools/lincoln/rejected/{snapshot}", {"q": "emmy"}).text)
    neighbour = signed_in(NEIGHBOUR)
    for words in ("grace", "alan", "emmy", "mary"):
        assert "Not in the directory" not in neighbour.send_form("/schools/oak/people", {"q": words}).text


def test_a_person_exists_only_for_people_who_may_see_their_school(
    signed_in: SignedIn, database: Database, oak: SchoolRow, ada: int
) -> None:
    before = every(database, "select * from person") + every(database, "select * from audit order by id")
    given = {**WHY, "school": "lincoln", "connection": "sis", "sourced_id": "u1", "number": str(ada)}
    others, friends = (STRANGER, NEIGHBOUR), (OWNER, MANAGER, OPERATOR)
    windows = {email: signed_in(email) for email in (*others, *friends)}
    for method, path in OF_A_PERSON:
        where, nobody = (at(path, "", {"person_id": number}) for number in (str(ada), "999999"))
        for email in others:
            window = windows[email]
            here, nowhere = (
                window.get(each) if method == "GET" else window.send_form(each, given) for each in (where, nobody)
            )
            assert (here.status_code, nowhere.status_code) == (404, 404), (method, path)
            assert here.text.replace(where, "") == nowhere.text.replace(nobody, ""), (method, path)
        if method == "GET":
            assert [windows[who].get(where).status_code for who in friends] == [200, 200, 200], path
    assert every(database, "select * from person") + every(database, "select * from audit order by id") == before


def test_what_the_command_line_does_to_a_person_is_done_by_buttons_with_a_reason(
    owner: Browser, database: Database, ada: int
) -> None:
    page = f"/people/{ada}"

    def do(action: str, what: str, **fields: str) -> None:
        before = len(audited(database))
        assert owner.send_form(f"{page}/{action}", fields).status_code == 400, "without a reason"
        assert owner.send_form(f"{page}/{action}", fields | {"reason": "x" * 501}).status_code == 400
        assert len(audited(database)) == before
        answer = owner.send_form(f"{page}/{action}", fields | WHY)
        assert (answer.status_code, answer.headers["location"]) == (303, page), answer.text
        assert audited(database)[before:] == [(OWNER, what, WHY["reason"])]
        assert what.capitalize() in words_of(owner.get(page).text)

    def person(column: str) -> Any:
        return one(database, f"select {column} from person where id = :id", id=ada)

    do("exclude", "person excluded")
    assert person("excluded")
    do("include", "person included")
    assert not person("excluded")
    do("lock", "field locked", field="email")
    assert person("locked_fields") == ["email"]
    do("unlock", "field unlocked", field="email")
    do("edit", "person edited", field="email", value="Ada@New.example.org", locked="on")
    assert (person("email"), person("locked_fields")) == ("ada@new.example.org", ["email"])
    do("edit", "person edited", field="phone", value="+1 312 555 0142")
    assert (person("phone"), person("locked_fields")) == ("+13125550142", ["email"])
    said = words_of(owner.get(page).text)
    assert "locked fields: nothing → to email" in said
    assert "student entered in Lincoln" in said
    newest = str(one(database, "select max(id) from audit"))
    do("undo", "edit undone", edit=newest)
    assert (person("phone"), person("email")) == (None, "ada@new.example.org")
    assert "It was undone already." in words_of(owner.get(page).text)
    assert "undone already" in owner.send_form(f"{page}/undo", WHY | {"edit": newest}).text
    assert owner.send_form(f"{page}/undo", WHY | {"edit": "999"}).status_code == 404
    do("archive", "membership archived", school="lincoln")
    again = owner.send_form(f"{page}/archive", {"school": "lincoln"} | WHY)
    assert again.status_code == 303, "a second click does no harm"
    do("restore", "membership active", school="lincoln")
    do("link", "link confirmed", connection="sis", sourced_id="u1")
    do("primary-record", "primary record chosen", connection="sis", sourced_id="u1")
    do("unlink", "record unlinked", connection="sis", sourced_id="u1")
    assert "Not theirs, as somebody said" in words_of(owner.get(page).text)


def test_a_change_that_is_impossible_is_explained_and_changes_nothing(
    manager: Browser, database: Database, ada: int
) -> None:
    for action, fields in (
        ("edit", {"field": "email", "value": "no address"}),
        ("edit", {"field": "shoe_size", "value": "43"}),
        ("lock", {"field": "shoe_size"}),
        ("unlink", {"connection": "sis", "sourced_id": "u999"}),
        ("link", {"connection": "sis", "sourced_id": " "}),
    ):
        before = every(database, "select * from person")
        answer = manager.send_form(f"/people/{ada}/{action}", fields | WHY)
        assert answer.status_code == 400, (action, fields)
        assert "Nothing was changed." in answer.text, (action, fields)
        assert "roster person" not in answer.text, "no command on a page"
        assert every(database, "select * from person") == before, (action, fields)


def test_an_owner_links_only_records_of_their_own_schools(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    plan = write_plan(database, lincoln, [row("unchanged", ada, links=["u1"], reason="equal")])
    clean_records(database, plan, {"sourced_id": "mine"}, {"sourced_id": "theirs", "record_status": "elsewhere"})
    link = f"/people/{ada}/link"
    for record in ("theirs", "unheard-of"):
        assert owner.send_form(link, WHY | {"connection": "sis", "sourced_id": record}).status_code == 403
    assert owner.send_form(link, WHY | {"connection": "foreign-sis", "sourced_id": "mine"}).status_code == 404
    assert owner.send_form(link, WHY | {"connection": "sis", "sourced_id": "mine"}).status_code == 303
    assert person_of(database, "mine") == ada
    assert manager.send_form(link, WHY | {"connection": "sis", "sourced_id": "theirs"}).status_code == 303


def test_shared_people_are_changed_only_by_people_of_both_schools(
    owner: Browser, manager: Browser, database: Database, oak: SchoolRow, ada: int
) -> None:
    sync_rows(database, oak, row("create", ada, reason="joined_school", changes={"role": "student"}, links=["u1"]))
    shown = words_of(owner.get(f"/people/{ada}").text)
    assert "1 school that is not yours" in shown
    assert "Oak" not in shown
    for action in ("exclude", "lock", "edit", "link", "unlink", "primary-record"):
        assert owner.send_form(f"/people/{ada}/{action}", WHY).status_code == 403, action
    assert owner.send_form(f"/people/{ada}/archive", WHY | {"school": "oak"}).status_code == 404
    newest, undo = "select max(id) from audit", f"/people/{ada}/undo"
    assert manager.send_form(f"/people/{ada}/exclude", WHY).status_code == 303
    shared = str(one(database, newest))
    assert owner.send_form(undo, WHY | {"edit": shared}).status_code == 403
    assert manager.send_form(f"/people/{ada}/archive", WHY | {"school": "oak"}).status_code == 303
    assert owner.send_form(undo, WHY | {"edit": str(one(database, newest))}).status_code == 403
    assert owner.send_form(f"/people/{ada}/archive", WHY | {"school": "lincoln"}).status_code == 303
    assert "Undo this edit" in owner.get(f"/people/{ada}").text
    assert owner.send_form(undo, WHY | {"edit": str(one(database, newest))}).status_code == 303
    assert manager.send_form(undo, WHY | {"edit": shared}).status_code == 303


def test_the_old_school_of_a_person_who_moved_sees_only_the_name(
    signed_in: SignedIn,
    owner: Browser,
    manager: Browser,
    database: Database,
    lincoln: SchoolRow,
    oak: SchoolRow,
    ada: int,
) -> None:
    sync_rows(database, oak, row("create", ada, reason="joined_school", changes={"role": "student"}, links=["u1"]))
    sync_rows(database, lincoln, row("archive", ada, reason="moved_school", links=["u1"]))
    database.call(
        manual_edits.edit, lincoln.district_id, ada, {"email": "hidden@example.org"}, who="oak", reason="secret reason"
    )
    page = owner.get(f"/people/{ada}").text
    assert "Ada" in page
    listed = owner.get(f"{PEOPLE}?status=archived").text
    for secret in ("hidden@example.org", "4711", "alove", "secret reason"):
        assert secret not in page
        assert secret not in listed
    assert names_in(owner, PEOPLE, q="hidden", status="archived") == []
    assert names_in(owner, PEOPLE, q="lovelace", status="archived") == ["Ada Lovelace"]
    assert names_in(manager, "/people", q="hidden") == ["Ada Lovelace"]
    assert "hidden@example.org" in signed_in(NEIGHBOUR).get(f"/people/{ada}").text


def test_only_operators_erase_and_type_the_number_first(
    signed_in: SignedIn, operator: Browser, database: Database, ada: int
) -> None:
    where = f"/people/{ada}/erase"
    for who in (OWNER, MANAGER):
        assert signed_in(who).send_form(where, WHY | {"number": str(ada)}).status_code == 404
        assert "Erase" not in signed_in(who).get(f"/people/{ada}").text
    assert operator.send_form(where, WHY).status_code == 400
    assert operator.send_form(where, {"number": str(ada)}).status_code == 400
    assert one(database, "select count(*) from person") == 1
    assert operator.send_form(where, WHY | {"number": str(ada)}).status_code == 303
    assert one(database, "select count(*) from person") == 0
    assert operator.get(f"/people/{ada}").status_code == 404


def test_somebody_is_entered_by_hand(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    where = f"{PEOPLE}/add"
    typed = {"given_name": "Rosalind", "email": "Ros@Example.org", "number": "77", "role": "student", "grade": "9"}
    for wrong in ({"reason": ""}, {"role": "king"}, {"email": "nobody"}, {"given_name": ""}, {"grade": "blue"}):
        answer = owner.send_form(where, typed | WHY | wrong)
        assert answer.status_code == 400, wrong
        assert 'value="77"' in answer.text, "what was typed stays"
    answer = owner.send_form(where, typed | WHY)
    assert answer.status_code == 303
    (found,) = every(
        database,
        "select p.given_name, p.email, p.number, p.number_kind, p.number_connection_id, m.role, m.grade, m.managed "
        "from person p join membership m on m.person_id = p.id",
    )
    assert found == ("Rosalind", "ros@example.org", "77", "student", lincoln.connection.id, "student", "09", False)
    assert audited(database)[-1] == (OWNER, "person added", WHY["reason"])
    assert "entered by hand" in words_of(owner.get(answer.headers["location"]).text)


def test_nobody_is_entered_twice_by_hand_and_a_new_person_of_the_same_name_is_confirmed(
    owner: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    where, count = f"{PEOPLE}/add", "select count(*) from person"
    typed = {"given_name": "Ada", "family_name": "Lovelace", "role": "student"}
    same = owner.send_form(where, typed | WHY | {"email": "ADA@example.org"})
    assert same.status_code == 400
    assert "This person is in this school already." in words_of(same.text)
    assert f'href="/people/{ada}"' in same.text
    assert 'name="somebody_else"' not in same.text
    assert owner.send_form(where, typed | WHY | {"email": "ada@example.org", "somebody_else": "on"}).status_code == 400
    named = owner.send_form(where, typed | WHY)
    assert "Somebody of this name is here" in words_of(named.text)
    assert one(database, count) == 1
    sent = fields_of(named.text, where)
    assert sent["given_name"] == "Ada", "what was typed stays"
    made = owner.send_form(where, sent | {"somebody_else": "on"})
    assert made.headers["location"] != f"/people/{ada}"
    assert one(database, count) == 2
    new = {"given_name": "Grace", "family_name": "Hopper", "role": "teacher"} | WHY
    assert owner.send_form(where, new).status_code == 303
    assert owner.send_form(where, new).status_code == 400, "a double click"
    assert one(database, count) == 3


def test_a_person_has_fields_with_their_source_the_plan_and_the_history(
    owner: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    new = words_of(owner.get(f"/people/{ada}").text)
    assert "New in the SIS." in new
    assert "done by sync" in new
    changed = row("update", ada, reason="changed", links=["u1"], changes={"email": "new@example.org"})
    changed["changes"]["email"][0] = "ada@example.org"
    plan = write_plan(database, lincoln, [changed])
    names = {"sourced_id": "u1", "given_name": "Ada", "family_name": "Lovelace"}
    clean_records(database, plan, names | {"email": "new@example.org", "number": "4711", "username": "alove"})
    before = words_of(owner.get(f"/people/{ada}").text)
    assert f"Plan {plan} of Lincoln" in before
    assert "The SIS has other values." in before
    assert "differs from the SIS record" in before
    result = builders.apply_plan(database, plan, who="night")
    after = words_of(owner.get(f"/people/{ada}").text)
    assert f"done by sync {result.sync_id}" in after
    assert "differs from the SIS record" not in after
    assert f"Sync {result.sync_id} of Lincoln, by night" in after
    assert "email: ada@example.org → to new@example.org" in after
    assert "record u1 linked" in after
    assert "what a rollback of this sync would undo" in after
    sync_rows(database, lincoln, row("archive", ada, reason="tobedeleted"))
    gone = words_of(owner.get(f"/people/{ada}").text)
    assert "The SIS marks the record as deleted. status in Lincoln: active → to archived" in gone, "it says why"


def test_the_top_of_a_persons_page_says_what_happened_last_and_why_they_are_archived(
    owner: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    page = f"/people/{ada}"
    sync = sync_rows(database, lincoln, row("archive", ada, reason="tobedeleted")).sync_id
    top = words_of(owner.get(page).text).partition("What the sync does")[0]
    last, _, schools = top.rpartition("Schools Lincoln")
    assert f"Sync {sync} of Lincoln" in last.partition("What happened last")[2]
    assert "The SIS marks the record as deleted." in last
    assert re.search(rf"Since .* Sync {sync} of Lincoln, by .*: The SIS marks the record as deleted\.", schools)
    owner.send_form(f"{page}/restore", WHY | {"school": "lincoln"})
    owner.send_form(f"{page}/archive", {"reason": "left today", "school": "lincoln"})
    schools = words_of(owner.get(page).text).partition("What the sync does")[0].rpartition("Schools Lincoln")[2]
    assert re.search(rf"Since .* by {OWNER}: “left today”", schools)
    assert "No sync archives them again before the SIS has listed them again." in schools


def test_the_card_of_the_plan_says_whether_it_is_about_the_last_sync_or_the_next_and_what_it_does_not_know(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    page, since = f"/people/{ada}", "changed this person since; the next sync may do something else."
    first = one(database, "select max(id) from sync")
    shown = words_of(owner.get(page).text)
    assert f"In the last sync, sync {first} :" in shown
    assert "The next sync would do this" not in shown
    write_plan(database, lincoln, [row("update", ada, reason="changed", links=["u1"], changes={"email": "a@b.org"})])
    shown = words_of(owner.get(page).text)
    assert "The next sync would do this" in shown
    assert "In the last sync" not in shown
    assert since not in shown
    assert owner.send_form(f"{page}/lock", WHY | {"field": "email"}).status_code == 303
    assert f"You {since}" in words_of(owner.get(page).text)
    assert f"{OWNER} {since}" in words_of(manager.get(page).text)
    write_plan(database, lincoln, [row("skip", ada, reason="changed", links=["u1"])])
    assert since not in words_of(owner.get(page).text), "a plan of after the edit knows it"
    with database.begin() as conn:
        conn.execute(text("update plan set state = 'discarded' where id = (select max(id) from plan)"))
    assert "It was discarded, so the next sync makes a new plan." in words_of(owner.get(page).text)


def test_the_history_says_who_left_a_change_out_and_who_announced_a_leaver(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow, oak: SchoolRow, ada: int
) -> None:
    sync_rows(database, oak, row("create", ada, reason="joined_school", changes={"role": "student"}, links=["u1"]))
    leaves = datetime.now(UTC).date() + timedelta(days=7)
    for school, who, why in ((lincoln, OWNER, "on a journey"), (oak, NEIGHBOUR, "secret of oak")):
        update = row("update", ada, reason="changed", links=["u1"], changes={"grade": "10", "email": "a@b.org"})
        plan = write_plan(database, school, [update], held={("student", "update"): [MANY]})
        database.call(lasting_decisions.exempt, plan, [0], who, why)
        database.call(lasting_decisions.announce_leavers, school, [ada], leaves, who, f"moves, {why}")
    shown = words_of(owner.get(f"/people/{ada}").text)
    assert f"Change left out by {OWNER}: “on a journey”" in shown
    assert "No sync makes this change in Lincoln: email, grade" in shown
    assert f"Leaver announced by {OWNER}" in shown
    assert f"announced to leave on {day(leaves)} in Lincoln" in shown
    assert shown.count(f"Announced to leave on {day(leaves)}.") == 1, "beside the membership"
    assert "left out" in shown
    assert "secret of oak" not in shown
    managers = words_of(manager.get(f"/people/{ada}").text)
    assert "“secret of oak”" in managers
    assert "“moves, secret of oak”" in managers
    database.call(lasting_decisions.announce_leavers, lincoln, [ada], date(2020, 1, 2), OWNER, "moved")
    shown = words_of(owner.get(f"/people/{ada}").text)
    assert "Announced to leave" not in shown, "it has ended"
    assert "announced to leave on Thu 2 Jan 2020 in Lincoln" in shown
    assert f"announced to leave on {day(leaves)} in Lincoln" in shown, "the announcement before it stays in the history"
    assert shown.count(" in Lincoln: email, grade") == 1

    with database.begin() as conn:
        lasting_decisions.take_back_exemptions(conn, lincoln, None, OWNER, "is back")
        (left,) = lasting_decisions.exemptions_of_school(conn, oak.id)
        lasting_decisions.end_exemptions(conn, oak, [left.id])
        for school in (lincoln, oak):
            lasting_decisions.withdraw_leavers(conn, school, None, MANAGER)
    shown = words_of(owner.get(f"/people/{ada}").text)
    assert f"Change left out by {OWNER}: “on a journey”" in shown
    assert "Syncs left out an update in Lincoln, from then on" in shown
    assert f"Change no longer left out by {OWNER}: “is back”" in shown
    assert "Syncs may make this change in Lincoln again: an update" in shown
    assert f"Announcement withdrawn by {MANAGER}" in shown
    assert " in oak" not in shown.split("History")[-1].lower(), "oak's decisions are not theirs to see"
    managers = words_of(manager.get(f"/people/{ada}").text)
    assert "The SIS no longer asks for this change in Oak: an update" in managers
    assert "persons" not in words_of(manager.get("/schools/oak/audit").text)


def test_the_history_names_a_change_left_out_before_the_person_was_known(
    owner: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    plan = write_plan(database, lincoln, [newcomer("u9", "Adele")], held={("student", "create"): [MANY]})
    database.call(lasting_decisions.exempt, plan, [0], OWNER, "is ada")
    database.call(manual_edits.link, lincoln.connection, ada, "u9", who=OWNER, reason="is ada")
    assert "No sync enters them in Lincoln" in words_of(owner.get(f"/people/{ada}").text)


def test_names_in_a_plan_and_a_hold_lead_to_the_person_whose_page_says_why_their_change_waits(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    plan = held_archive(database, lincoln, MANY | {"guard": "archivals", "message": "Too many would go."})
    grace = person_of(database, "old")
    said = owner.get(f"/people/{grace}").text
    assert "This waits, because: Too many would go." in words_of(said)
    assert 'href="/schools/lincoln/holds">Look and decide</a>' in said
    for where in (f"/schools/lincoln/plans/{plan}", "/schools/lincoln/holds"):
        assert f'href="/people/{grace}"' in owner.get(where).text
    first = one(database, "select min(id) from plan")
    assert f'href="/people/{grace}"' in owner.get(f"/schools/lincoln/plans/{first}").text, "whom the plan created"


def test_markup_in_names_stays_text_and_nothing_of_people_is_logged(
    owner: Browser, database: Database, lincoln: SchoolRow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    changes = {"email": "qqleak@zyxpoison.example", "number": "99887766", "username": "qqleak"}
    sync_rows(database, lincoln, newcomer("u1", SCRIPT, changes=changes))
    ada = person_of(database, "u1")
    said = []
    for path in (PEOPLE, f"/people/{ada}"):
        page = owner.get(path).text
        assert SCRIPT not in page
        assert "&lt;script&gt;" in page
    owner.send_form(PEOPLE, {"q": "Zyxpoison qqleak"})
    for action, fields in {
        "edit": {"field": "email", "value": "qqleak zyxpoison"},
        "link": {"connection": "sis", "sourced_id": "u1"},
        "exclude": {},
        "archive": {"school": "lincoln"},
    }.items():
        said.append(str(owner.send_form(f"/people/{ada}/{action}", fields | WHY).headers))
    added = {"given_name": "Zyxpoison", "number": "99887766", "email": "qqleak", "role": "student"}
    owner.send_form(f"{PEOPLE}/add", added | WHY)
    owner.send_form(f"{PEOPLE}/add", added | WHY | {"email": ""})
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    said += [json.dumps(entry, default=str) for entry in every(database, "select * from audit")]
    assert leaked("\n".join(said)) == []


def test_a_district_of_many_people_is_paged_without_loading_it(
    manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as conn:
        for statement in (
            "insert into person (district_id, given_name, family_name) "
            "select :district, 'Given' || n, 'Family' || lpad(n::text, 6, '0') from generate_series(1, 5000) n",
            "insert into membership (district_id, school_id, person_id, role, status) "
            "select district_id, :school, id, 'student', 'active' from person",
        ):
            conn.execute(text(statement), {"district": lincoln.district_id, "school": lincoln.id})
    assert "4,951 to 5,000 of 5,000" in manager.get("/people?page=100").text
    assert names_in(manager, "/people?page=100")[-1] == "Given5000 Family005000"
    assert len(names_in(manager, "/people", q="given49")) == 50
    assert names_in(manager, "/people", q="given49", page="2")[0] == "Given4939 Family004939"


def test_conflicts_are_worked_through_side_by_side(
    owner: Browser, database: Database, lincoln: SchoolRow, ada: int
) -> None:
    sync_rows(database, lincoln, newcomer("u2", "Grace", changes={"email": "shared@example.org"}))
    grace = person_of(database, "u2")
    plan = write_plan(
        database,
        lincoln,
        [
            row("conflict", ada, links=["new1"], reason="match_contradicted"),
            row("conflict", links=["new2"], reason="several_matches"),
        ],
    )
    for record, email in (("new1", "ada@example.org"), ("new2", "shared@example.org")):
        clean_records(database, plan, {"sourced_id": record, "given_name": "Adele", "email": email})
    where = "/schools/lincoln/conflicts"
    assert "2 conflicts wait for you" in words_of(owner.get(PEOPLE).text)
    shown = owner.get(where).text
    assert f'href="/people/{ada}"' in shown
    assert f'href="/people/{grace}"' in shown, "whom a record that fits several people may be"
    assert "Given name differs" in words_of(shown)
    assert "roster person" not in shown
    pair = {"connection": "sis", "back": where}
    same = owner.send_form(f"/people/{ada}/link", WHY | pair | {"sourced_id": "new1"})
    two = owner.send_form(f"/people/{grace}/unlink", WHY | pair | {"sourced_id": "new2"})
    assert [answer.headers["location"] for answer in (same, two)] == [where, where]
    assert person_of(database, "new1") == ada
    assert every(database, "select sourced_id, person_id from link_exclusion") == [("new2", grace)]
    assert words_of(owner.get(where).text).count("decided, the next sync follows") == 2
    elsewhere = owner.send_form(f"/people/{ada}/exclude", WHY | {"back": "//evil.example"})
    assert elsewhere.headers["location"] == f"/people/{ada}"


def test_conflicts_of_a_district_are_one_list_for_its_manager(
    owner: Browser,
    manager: Browser,
    operator: Browser,
    database: Database,
    lincoln: SchoolRow,
    oak: SchoolRow,
    foreign: SchoolRow,
    ada: int,
) -> None:
    write_plan(database, oak, [row("conflict", links=["old"], reason="several_matches")])
    for school, records in ((oak, ["o1"]), (lincoln, [f"l{number:02}" for number in range(21)]), (foreign, ["f1"])):
        rows = [row("conflict", links=[record], reason="several_matches", role="teacher") for record in records]
        write_plan(database, school, [*rows, row("unchanged", links=["plain"], reason="equal")])
    plan = write_plan(database, oak, [row("conflict", ada, links=["o1"], reason="match_contradicted")])
    clean_records(database, plan, {"sourced_id": "o1", "given_name": "Adele"})
    where = "/people/conflicts?district=springfield"
    assert where in manager.get("/people").text
    first = words_of(manager.get(where).text)
    assert "22 conflicts." in first
    assert first.count("Plan ") == 20
    assert "of Lincoln, made" in first
    assert "of Oak" not in first, "by school"
    second = manager.get(f"{where}&page=2").text
    assert f"Plan {plan} of Oak, made" in words_of(second)
    assert words_of(second).count("of Lincoln, made") == 1
    assert f'href="/people/{ada}"' in second
    back = f"{where}&page=2"
    answer = manager.send_form(f"/people/{ada}/link", WHY | {"connection": "sis", "sourced_id": "o1", "back": back})
    assert answer.headers["location"] == back
    assert "decided, the next sync follows" in words_of(manager.get(back).text)
    assert "1 conflict." in words_of(operator.get("/people/conflicts?district=shelbyville").text)
    assert manager.get("/people/conflicts?district=shelbyville").status_code == 404
    assert owner.get("/people/conflicts").status_code == 404
    write_plan(database, lincoln, [])
    write_plan(database, oak, [])
    assert "The newest plans have no record that may belong to somebody else." in words_of(manager.get(where).text)


def test_people_of_another_school_or_connection_are_shown_only_to_the_manager(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow, oak: SchoolRow
) -> None:
    sync_rows(database, oak, newcomer("b1", "Beth", changes={"email": "beth@example.org"}))
    beth = person_of(database, "b1")
    rows = [
        row("create", beth, reason="joined_school", links=["b1"]),
        row("conflict", beth, links=["x1"], reason="other_connection"),
        row("conflict", beth, links=["x2"], reason="match_contradicted"),
    ]
    plan = f"/schools/lincoln/plans/{write_plan(database, lincoln, rows)}"
    assert f'href="/people/{beth}"' not in owner.get(plan).text
    assert owner.get(plan).text.count("Beth") == manager.get(plan).text.count("Beth")
    assert "x2" in owner.get(plan).text
    assert "x2" not in owner.send_form(plan, {"q": "beth@example.org"}).text
    shown = manager.get(plan).text
    assert f'href="/people/{beth}"><bdi>' in shown
    assert f'href="/people/{beth}">person {beth}</a>' in shown, "whom a conflict is about"
    write_plan(database, lincoln, rows[1:])
    where = "/schools/lincoln/conflicts"
    shown = owner.get(where).text
    assert "beth@example.org" not in shown
    assert f"/people/{beth}" not in shown
    assert words_of(shown).count("A manager of the district decides that.") == 2
    assert "beth@example.org" in manager.get(where).text
