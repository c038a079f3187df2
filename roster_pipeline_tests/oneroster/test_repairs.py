"""Repairs, rejections and wrappers of records, besides the numbered quirks."""

import gzip
from typing import Any

import orjson
import pytest
from starlette.responses import Response

from roster_pipeline.oneroster import Wanted
from roster_pipeline_tests.oneroster.client_helpers import Start, pulled_by
from roster_pipeline_tests.oneroster.odd_server import odd, of_people, person, same_people, told_of


def test_items_that_are_not_records_are_rejected_and_counted(sis: Start) -> None:
    served = sis("junk_entries=7")
    pulled = served.pull()
    assert "not-an-object" in pulled.rules
    errors = [reject for reject in pulled.rejects if reject["severity"] == "error" and reject["collection"] == "users"]
    assert pulled.proof.rejected == len(errors)
    assert pulled.proof.records == len(pulled.users) + pulled.proof.rejected + pulled.proof.left_out


def test_roles_win_over_the_other_generation_whose_orgs_are_kept_without_a_role(sis: Start) -> None:
    served = sis()
    before = {user["sourcedId"]: user["roles"] for user in served.pull().users}
    after = same_people(served, "both_generations", but=("roles",)).users
    assert {user["sourcedId"]: [each for each in user["roles"] if each["role"]] for user in after} == before
    assert {each["org"] for user in after for each in user["roles"] if each["role"] is None} == {"dis-1"}


def test_a_status_that_is_not_a_text_does_not_count_as_active() -> None:
    pulled = of_people(person("s-1", status={"x": 1}), person("s-2", status=""), person("s-3", status=" ToBeDeleted "))
    assert [user["status"] for user in pulled.users] == ["unreadable", None, "tobedeleted"]


def test_a_record_names_the_members_that_are_not_texts() -> None:
    odd: dict[str, Any] = {"email": {"value": "a@b.example"}, "username": [["x"]], "grades": [{"a": 1}], "phone": " 1 "}
    first, second = of_people(person("s-1", **odd), person("s-2", email=[], username=None)).users
    assert sorted(first["unreadable"]) == ["email", "grades", "username"]
    assert (first["email"], first["phone"]) == (None, "1")
    assert "unreadable" not in second


def test_several_roles_and_several_orgs_that_are_not_paired_reject_the_record() -> None:
    pulled = of_people(person("s-1", roles=["student", "teacher"], orgs=["a", "b"]))
    assert pulled.rules == {"roles-and-orgs-unpaired"}
    assert not pulled.users


def test_guardians_are_dropped_while_reading_if_nobody_needs_them(sis: Start) -> None:
    pulled = sis().pull(Wanted())
    assert not pulled.of("guardian", "parent", "relative") or all(
        any(entry["role"] not in ("guardian", "parent", "relative") for entry in user["roles"]) for user in pulled.users
    )
    assert pulled.proof.left_out > 0


@pytest.mark.parametrize(
    "fault", ["bom", "charset=latin1", "content_type=text", "content_type=html", "content_type=none", "gzip", "types"]
)
def test_what_wraps_the_json_does_not_matter(sis: Start, fault: str) -> None:
    served = sis(fault)
    pulled = served.pull()
    assert pulled.complete
    assert len(pulled.ids) == len(served.sis.district)


@pytest.mark.parametrize("after", [b"", b"\0" * 300])
@pytest.mark.parametrize(("packed", "stated"), [(True, "gzip"), (True, ""), (False, "gzip")])
def test_gzip_is_known_by_its_first_bytes_and_ends_by_itself(*, packed: bool, stated: str, after: bytes) -> None:
    plain = orjson.dumps({"users": [person("s-1")]})
    body = gzip.compress(plain) + after if packed else plain
    headers = {"Content-Encoding": stated} if stated else {}
    assert told_of(lambda query: Response(body, headers=headers)).ids == {"s-1"}


def test_lone_surrogates_nan_and_nul_do_not_lose_a_page() -> None:
    body = orjson.dumps({"users": [person("s-1"), person("s-2")]}).replace(b'"Mira"', b'"Mi\\ud800\\u0000ra"')
    body = body.replace(b'"mira"', b"NaN")
    with odd(
        lambda path, query: (
            Response(body)
            if path == "/users" and not int(query.get("offset", 0))
            else ({"users": []} if path == "/users" else None)
        )
    ) as client:
        pulled = pulled_by(client)
    assert pulled.ids == {"s-1", "s-2"}
    assert pulled.users[0]["givenName"] == "Mi\ufffdra"
    assert orjson.dumps(pulled.users)


NAMES = ["Müller", "Niccolà", "Łódź", "Zoë", "Đorđe"]


@pytest.mark.parametrize("stated", ["application/json", "application/json; charset=iso-8859-1"])
@pytest.mark.parametrize(("damaged", "read"), [(b"\xc3", "\ufffd"), (b"\x01", ""), (b"\xed\xa0\x80", "\ufffd" * 3)])
def test_one_damaged_name_garbles_no_other_name_and_no_id_of_its_page(damaged: bytes, read: str, stated: str) -> None:
    people = [person(f"té-{at}", familyName=name) for at, name in enumerate([*NAMES, "Grill?"])]
    body = orjson.dumps({"users": people}).replace(b"Grill?", b"Grill" + damaged)
    pulled = told_of(lambda query: Response(body, headers={"Content-Type": stated}))
    assert [user["familyName"] for user in pulled.users] == [*NAMES, "Grill" + read]
    assert pulled.ids == {user["sourcedId"] for user in people}


def test_a_page_in_the_character_set_of_windows_is_read_without_being_told() -> None:
    people = [person(f"té-{at}", familyName=name) for at, name in enumerate(("Müller", "Zoë", "Grillé"))]
    body = orjson.dumps({"users": people}).decode().encode("windows-1252")
    assert [user["familyName"] for user in told_of(lambda query: Response(body)).users] == ["Müller", "Zoë", "Grillé"]
