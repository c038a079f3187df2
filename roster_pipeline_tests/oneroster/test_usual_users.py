"""The fast reader of users gives the same as the careful one, or leaves the page to it."""

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roster_pipeline.oneroster.collections.proof import hashes
from roster_pipeline.oneroster.records.coercion import NULL_TEXTS
from roster_pipeline.oneroster.records.role_entries import ROLES
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.records.usual_users import ReadUser, usual_users
from roster_pipeline_tests.oneroster.odd_server import person
from roster_pipeline_tests.oneroster.payloads import ODD_TEXTS, envelope

KEYS = ("homeroom", "jp.kana", "tags")
TEXTS = st.sampled_from([*ODD_TEXTS, *sorted(NULL_TEXTS)]) | st.text(max_size=8) | st.just("Mira")
WORDS = st.sampled_from(["u-1", "u-2", "07", "sch-1", "O'Neil", 'a"b', "back\\slash"]) | TEXTS
REFERENCES = st.fixed_dictionaries({"sourcedId": WORDS}, optional={"href": TEXTS, "type": TEXTS})
ROLE = st.sampled_from(sorted(ROLES.values()))
DAYS = st.sampled_from([None, "2026-08-01", "20260801", "2026-02-30", "soon", "NULL", "2026-08-17T00:00:00Z"])
ENTRIES = st.fixed_dictionaries(
    {"role": ROLE, "org": REFERENCES},
    optional={"roleType": st.sampled_from(["primary", "secondary", None]), "beginDate": DAYS, "endDate": DAYS},
)
TEXT_MEMBERS = (
    *("dateLastModified", "username", "identifier", "userMasterIdentifier", "givenName", "familyName", "middleName"),
    *("preferredFirstName", "preferredMiddleName", "preferredLastName", "email", "sms", "phone"),
)
METADATA = st.none() | st.dictionaries(
    st.sampled_from(["homeroom", "jp", "tags", "jp.kana"]), TEXTS | st.lists(TEXTS) | st.just({"kana": "x"})
)
ODD: dict[str, st.SearchStrategy[Any]] = {
    "sourcedId": WORDS,
    **dict.fromkeys(TEXT_MEMBERS, TEXTS | st.none()),
    "status": st.sampled_from(["active", "tobedeleted", None]),
    "enabledUser": st.sampled_from([True, False, "true", "false", None]),
    "role": ROLE | st.none(),
    "roles": st.lists(ENTRIES, max_size=3) | st.none(),
    "orgs": st.lists(REFERENCES, max_size=3) | st.none(),
    "primaryOrg": REFERENCES | st.none(),
    "agents": st.lists(REFERENCES, max_size=3) | st.none(),
    "grades": st.lists(WORDS, max_size=2) | st.none(),
    "userIds": st.lists(st.fixed_dictionaries({"type": WORDS, "identifier": WORDS}), max_size=2) | st.none(),
    "metadata": METADATA,
    "password": TEXTS,
}
IDS = st.fixed_dictionaries({"sourcedId": st.sampled_from(["u-1", "u-2", "sch-1"])})
USUAL = st.fixed_dictionaries(
    {"sourcedId": st.just("u-1"), "role": ROLE, "orgs": st.lists(IDS, min_size=1, max_size=3)},
    optional={
        **{name: st.just(name) for name in TEXT_MEMBERS},
        "enabledUser": ODD["enabledUser"],
        "roles": st.lists(
            st.fixed_dictionaries({"role": ROLE, "org": IDS, "roleType": st.just("primary")}), max_size=2
        ),
        "primaryOrg": IDS,
        "agents": st.lists(IDS, max_size=3),
        "grades": st.just(["07"]),
    },
)


@st.composite
def a_user(draw: st.DrawFn) -> dict[str, Any]:
    """A usual user with a few odd members: with many, no record would go the short way."""
    odd = draw(st.lists(st.sampled_from(sorted(ODD)), max_size=2, unique=True))
    return draw(USUAL) | {name: draw(ODD[name]) for name in odd}


USERS = a_user()


def agree(body: bytes) -> int:
    """Assert that both readers give the same; returns how many users the fast one read."""
    short = usual_users(body)
    if short is None:
        return 0
    careful = orjson.loads(body)["users"]
    assert hashes(short).tolist() == hashes(careful).tolist()
    taken = sum(type(user) is ReadUser for user in short)
    for keys in (KEYS, ()):
        assert UserReader(keys).page(usual_users(body) or []) == UserReader(keys).page(careful)
    return taken


def written(*users: Any, **beside: Any) -> bytes:
    """A page as a server writes it; a lone surrogate is written as a JSON escape."""
    return json.dumps({"users": users, **beside}).encode()


@settings(max_examples=300, deadline=None)
@given(st.lists(USERS, max_size=3))
def test_odd_values_in_the_usual_shape_are_read_alike(users: list[dict[str, Any]]) -> None:
    body = written(*users)
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        assert usual_users(body) is None
        return
    agree(body)


def test_three_thousand_malformed_pages_are_read_alike_or_left_alone() -> None:
    chance = random.Random(20261123)
    taken = 0
    for _ in range(3000):
        try:
            body = orjson.dumps(envelope(chance))
        except (TypeError, orjson.JSONEncodeError):
            continue
        taken += agree(body)
    assert taken > 100


@pytest.mark.parametrize("beside", [{"imsx_codeMajor": "failure"}, {"totalCount": 1}, {"warnings": []}])
def test_a_page_with_anything_beside_its_users_is_left_to_the_careful_reader(beside: dict[str, Any]) -> None:
    assert usual_users(written(person("s-1"))) is not None
    assert usual_users(written(person("s-1"), **beside)) is None


def test_a_member_in_a_case_of_its_own_is_not_overlooked() -> None:
    assert usual_users(written(person("s-1") | {"EMail": "a@example.org"})) is None


def test_one_odd_record_leaves_the_others_their_short_way() -> None:
    users = usual_users(written(person("s-1"), person("s-2", givenName=" Mira "), person("s-3")))
    assert users is not None
    assert [type(user) is ReadUser for user in users] == [True, False, True]
    assert [user["givenName"] for user in UserReader().page(users)[0]][1] == "Mira"
