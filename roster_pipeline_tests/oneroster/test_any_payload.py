"""Properties that hold for any payload at all."""

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roster_pipeline.oneroster.collections.proof import hashes_with_roles
from roster_pipeline.oneroster.collections.response_body import records_of
from roster_pipeline.oneroster.errors import WrongAddress
from roster_pipeline.oneroster.http.endpoint import segment, understand
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.records.coercion import UNREADABLE, boolean, day, text, texts
from roster_pipeline.oneroster.records.orgs import Memberships
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.records.usual_users import usual_users
from roster_pipeline_tests.oneroster.fuzz import run
from roster_pipeline_tests.oneroster.odd_server import person
from roster_pipeline_tests.oneroster.payloads import NAMES
from roster_pipeline_tests.oneroster.promises import keeps_promises_of_bodies, keeps_promises_of_users

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(JSON, max_size=4))
def test_any_json_is_a_user_or_a_rejection(records: list[object]) -> None:
    keeps_promises_of_users(records)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_any_member_may_hold_anything(members: dict[str, object]) -> None:
    keeps_promises_of_users([{"sourcedId": "u-1", **members}])


@pytest.mark.parametrize("depth", [50, 400, 900, 1010, 5000])
@pytest.mark.parametrize("opening", ["[", '{"sourcedId":', '[{"role":', '{"0":[', '{"metadata":'])
def test_a_very_deep_member_costs_no_page(opening: str, depth: int) -> None:
    closing = "".join({"[": "]", "{": "}"}[char] for char in reversed(opening) if char in "[{")
    deep = (opening * depth + "1" + closing * depth).encode()
    for name in NAMES:
        body = b'{"users": [{"sourcedId": "u-1", %s: %s}]}' % (orjson.dumps(name), deep)
        keeps_promises_of_bodies(body)
        usual_users(body)
        if depth * len(closing) < 900:
            keeps_promises_of_users(orjson.loads(body)["users"])
        if depth * len(closing) < 1015:
            hashes_with_roles([{name: orjson.loads(deep)}])
            Memberships().page([{"user": "u-1", "school": "sch-1", name: orjson.loads(deep)}])


@pytest.mark.parametrize("depth", [900, 3_000, 100_000])
@pytest.mark.parametrize("member", ["metadata", "roles", "grades", "email", "vendor"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"]\\"[": [', "]}"), ('[{}, "{[\\\\", {"b":', "}]")])
def test_an_absurd_record_costs_no_other_record(depth: int, member: str, opening: str, closing: str) -> None:
    fine = orjson.dumps(person("p-2")).decode()
    deep = fine.replace("p-2", "p-1")[:-1] + f', "{member}": {opening * depth}1{closing * depth}}}'
    body = f'{{"users": [{deep}, {fine}]}}'.encode()
    reply = Response(200, httpx.Headers({}), body, "http://sis.example.org/users")
    records = records_of(reply, "users", "/users").records
    assert [record["sourcedId"] for record in records] == ["p-1", "p-2"]
    assert records[1] == person("p-2")
    keeps_promises_of_users(records)


@pytest.mark.parametrize("digits", [19, 20, 400, 4_300, 100_000])
@pytest.mark.parametrize("member", ["sourcedId", "identifier", "enabledUser", "grades", "vendor"])
def test_a_number_of_any_length_costs_no_other_record(member: str, digits: int) -> None:
    odd = orjson.dumps(person("p-1", **{member: "here"})).decode().replace('"here"', "1" * digits)
    body = f'{{"users": [{odd}, {orjson.dumps(person("p-2")).decode()}]}}'.encode()
    reply = Response(200, httpx.Headers({}), body, "http://sis.example.org/users")
    records = records_of(reply, "users", "/users").records
    assert records[1] == person("p-2")
    keeps_promises_of_users(records)
    if member == "sourcedId" and digits <= 400:
        assert UserReader().page(records)[0][0]["sourcedId"] == "1" * digits


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_an_error(body: bytes) -> None:
    keeps_promises_of_bodies(body)
    keeps_promises_of_bodies(b'{"users": [' + body + b"]}")


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_single_values_are_read_or_called_unreadable(value: object) -> None:
    assert text(value) is UNREADABLE or text(value) is None or isinstance(text(value), str)
    assert boolean(value) in (True, False, None) or boolean(value) is UNREADABLE
    assert day(value) is UNREADABLE or day(value) is None or isinstance(day(value), str)
    assert all(isinstance(one, str) for one in texts(value)[0])


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_an_address_or_none(pasted: str) -> None:
    try:
        base = understand(pasted).base
    except WrongAddress:
        return
    assert base.startswith(("https://", "http://"))


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda one: one.isprintable()))
def test_any_id_is_one_path_segment(sourced_id: str) -> None:
    assert "/" not in segment(sourced_id)
    assert segment(sourced_id) not in (".", "..")


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(person("s-1", agents=[{"sourcedId": "g"}]).items())))
def test_the_order_of_members_never_matters(members: list[tuple[str, object]]) -> None:
    one = UserReader().one(dict(members), [])
    assert one == UserReader().one(person("s-1", agents=[{"sourcedId": "g"}]), [])


def test_a_thousand_drawn_payloads_keep_every_promise() -> None:
    run(1000, 20260821)


def test_normalised_records_can_be_written_down() -> None:
    assert orjson.loads(orjson.dumps(UserReader().one(person("s-1"), [])))["sourcedId"] == "s-1"
