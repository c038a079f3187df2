"""Frames: conversions between records, pandas columns and Arrow arrays, with missing, odd and unordered values."""

from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roster_pipeline.frames import (
    TEXT,
    USER_LISTS,
    USER_TEXT,
    codes,
    frame_of,
    frame_of_documents,
    lists,
    positions,
    repeated,
    sorted_by,
    strings,
    taken,
    truth,
)
from roster_pipeline.identity.directory_frames import flags_of
from roster_pipeline_tests.kept_frames import assert_same_frame

ABC = pa.array(["a", "b", None, "c"], TEXT)


@pytest.mark.parametrize(
    "column",
    [
        ["a", None, "b"],
        pd.Series(["a", None, "b"], dtype="str"),
        pd.Series(["a", np.nan, "b"], dtype=object),
        pd.concat([pd.Series(["a"], dtype="str"), pd.Series([None, "b"], dtype="str")]),
        pa.array(["a", None, "b"]),
        pa.chunked_array([["a"], [None, "b"]]),
    ],
)
def test_text_of_any_make_is_one_array(column: Any) -> None:
    array = strings(column)
    assert isinstance(array, pa.Array)
    assert (array.type, array.to_pylist()) == (TEXT, ["a", None, "b"])


def test_numbers_are_delivered_as_text() -> None:
    assert strings(pd.Series([1, 2])).to_pylist() == ["1", "2"]


def test_two_columns_of_lists_that_were_put_together_are_one_array() -> None:
    frames = [frame_of([{"sourcedId": "a", "grades": ["9"]}]), frame_of([{"sourcedId": "b"}])]
    array = lists(pd.concat(frames, ignore_index=True)["grades"])
    assert isinstance(array, pa.Array)
    assert array.to_pylist() == [["9"], None]


@pytest.mark.parametrize(
    "places", [[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 3, 2], [0, 2, 1, 3], [0, 1], [1, 2, 3], [1, 1, 1, 1], [-1, 0, -1], []]
)
def test_values_are_taken_from_their_places(places: list[int]) -> None:
    told = taken(ABC, np.array(places, dtype=np.int64)).to_pylist()
    assert told == [None if place < 0 else ABC[place].as_py() for place in places]


def test_of_nothing_nothing_is_taken() -> None:
    told = taken(pa.nulls(2, TEXT), np.array([1, 0, -1]))
    assert (told.type, told.to_pylist()) == (TEXT, [None, None, None])


def test_what_is_taken_in_order_is_not_copied() -> None:
    assert taken(ABC, np.arange(4)).buffers()[2].address == ABC.buffers()[2].address


def test_a_missing_value_has_no_place_no_code_and_no_repetition() -> None:
    assert positions(ABC, pa.array(["c", None, "a", "a"], TEXT)).tolist() == [2, -1, -1, 0]
    numbers, distinct = codes(pa.array(["b", None, "a", "b"], TEXT))
    assert (numbers.tolist(), distinct) == ([0, -1, 1, 0], 2)
    assert repeated(pa.array(["b", None, "a", "b", None], TEXT)).tolist() == [True, False, False, True, False]
    assert repeated(pa.nulls(2, TEXT)).tolist() == [False, False]


@pytest.mark.parametrize("array", [pa.array([True, None, False]), pa.chunked_array([[True], [None, False]])])
def test_a_missing_truth_is_false(array: Any) -> None:
    assert truth(array).tolist() == [True, False, False]


def test_a_missing_flag_is_false() -> None:
    assert flags_of(pd.Series([True, None, False], dtype="boolean")).tolist() == [True, False, False]
    assert flags_of(pd.Series([True, None, False], dtype=object)).tolist() == [True, False, False]
    assert flags_of(pd.Series([True, False])).tolist() == [True, False]


@pytest.mark.parametrize("names", [["b", "a"], ["a", "c", "b"], ["b", "B", "a"], ["a", "b", "c"], ["a"], []])
def test_a_frame_is_sorted_by_bytes_and_numbered_anew(names: list[str]) -> None:
    frame = pd.DataFrame({"name": pd.Series(names, dtype="str"), "length": [len(name) for name in names]})
    frame.index = frame.index + 5
    told = sorted_by(frame, "name")
    assert list(told["name"]) == sorted(names)
    assert list(told.index) == list(range(len(names)))
    assert list(told.columns) == ["name", "length"]


@pytest.mark.parametrize("said", ["true", "no", 1, 0, [], {}])
def test_a_login_is_on_or_off_or_unknown(said: Any) -> None:
    frame = frame_of([{"enabledUser": said}, {"enabledUser": True}, {"enabledUser": False}, {}])
    assert frame["enabledUser"].astype(object).where(frame["enabledUser"].notna(), None).tolist() == [
        None, True, False, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (1.5, "1.5"), (True, None), (float("nan"), None), ([1], None), ({}, None), ("x", "x"), (None, None)],
)
def test_a_plain_value_is_taken_as_text_and_no_other(value: Any, text: str | None) -> None:
    frame = frame_of([{"username": value}, {"username": [1]}, {"username": "ann"}])
    assert frame["username"].astype(object).where(frame["username"].notna(), None).tolist() == [text, None, "ann"]


def test_a_role_of_a_wrong_make_loses_only_what_is_wrong() -> None:
    roles = [{"role": 7, "org": ["x"], "odd": 1}, "student", {"role": "teacher", "org": "s1"}]
    one, other = frame_of([{"roles": roles}, {"roles": {"role": "student"}}])["roles"].tolist()
    blank = dict.fromkeys(("role", "roleType", "org", "beginDate", "endDate"))
    assert one == [blank | {"role": "7"}, None, blank | {"role": "teacher", "org": "s1"}]
    assert other is None or other is pd.NA


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
_PLAIN = st.none() | _TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
_ROLES = st.fixed_dictionaries(
    {}, optional={"role": _TEXTS, "org": _TEXTS | st.none(), "beginDate": _TEXTS, "odd": _PLAIN}
)
_IDS = st.fixed_dictionaries({}, optional={"type": _TEXTS | st.none(), "identifier": _TEXTS})
_DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {"sourcedId": _TEXTS},
        optional={
            **dict.fromkeys(USER_TEXT[1:], _TEXTS | st.none()),
            **dict.fromkeys(("agents", "grades", "notEnrolled"), st.none() | st.lists(_TEXTS, max_size=3)),
            "roles": st.none() | st.lists(_ROLES, max_size=3),
            "userIds": st.none() | st.lists(_IDS, max_size=2),
            "enabledUser": st.none() | st.booleans(),
            "metadata": st.none() | st.dictionaries(_TEXTS, _PLAIN | st.lists(_PLAIN, max_size=2), max_size=2),
            "odd": _PLAIN | st.dictionaries(_TEXTS, _PLAIN, max_size=1),
        },
    ),
    max_size=5,
)


def _same_frames(records: list[dict[str, Any]]) -> None:
    lines = [orjson.dumps(record) for record in records]
    of_records = frame_of([orjson.loads(line) for line in lines])
    assert_same_frame(frame_of_documents(b"\n".join(lines)), of_records)


@settings(deadline=None)
@given(_DOCUMENTS)
def test_documents_become_the_frame_of_their_records(records: list[dict[str, Any]]) -> None:
    _same_frames(records)


@pytest.mark.parametrize("name", [*USER_TEXT, *USER_LISTS, "enabledUser", "metadata"])
@pytest.mark.parametrize("value", [7, 1.5, True, "x", "", [7], ["x", None], {"x": "y"}, [{"role": 7}], [[]], 2**63])
def test_documents_with_a_value_of_a_wrong_type_do_too(name: str, value: Any) -> None:
    _same_frames([{"sourcedId": "a", name: value}, {"sourcedId": "b"}])
