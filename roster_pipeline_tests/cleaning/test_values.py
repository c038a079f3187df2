"""Single values: names, e-mails, phones, grades and numbers, each in one spelling or absent."""

from typing import Any

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roster_pipeline.cleaning.emails_and_phones import clean_emails, clean_phones, valid_email
from roster_pipeline.cleaning.field_values import CEDS, HINTS, ceds, clean_grades, clean_names, numbers_from
from roster_pipeline.frames import USER_LISTS, frame_of, strings
from roster_pipeline.identity.names import name_key
from roster_pipeline_tests.planning.builders import user


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("  Ana  María ", "Ana María"),
        ("Ana\u00a0\tMari\u0301a\n", "Ana María"),
        ("Jo\x00hn\x07", "John"),
        ("Ana\r\x1f Mari\u200b\u0301a", "Ana María"),
        ("\u202eevil\u202c", "evil"),
        ("Zoe\u200b", "Zoe"),
        ("\u061cZoe\U000e0041\U000e007f", "Zoe"),
        ("\u3164", None),
        ("\uffa0\u180e", None),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("O'Brien-Smith", "O'Brien-Smith"),
        ("O&#39;Brien &amp;amp; Co", "O'Brien & Co"),
        (f"&{'amp;' * 3000}lt;", f"&{'amp;' * 3000}lt;"),
        ("à\x1f¡¡", "\u0861"),
        ("Jos\u00c3\u00a9 Mu\u00c3\u00b1oz", "Jos\u00e9 Mu\u00f1oz"),
        ("\u00c3\u2030lodie O\u00e2\u20ac\u2122Hara", "\u00c9lodie O\u2019Hara"),
        ("Jos\u00c3\u0192\u00c2\u00a9", "Jos\u00e9"),
        ("\u00c5\u00a1koda", "\u0161koda"),
        ("JO\u00c3O \u00d6\u0161 \u00c2ngela", "JO\u00c3O \u00d6\u0161 \u00c2ngela"),
        ("Tom & Jerry; AT&T;", "Tom & Jerry; AT&T;"),
        ("Jos\ufffd", None),
        ("Mu?oz", None),
        ("Smith?", "Smith?"),
        ("Null", "Null"),
        ("None", "None"),
        ("NULL", None),
        ("n/a", None),
        (" - ", None),
        (".", None),
        ("", None),
        (None, None),
    ],
)
def test_a_name_has_one_spelling_and_an_empty_cell_is_not_a_name(raw: str | None, name: str | None) -> None:
    assert clean_names(strings([raw])).to_pylist() == [name]


@settings(deadline=None)
@given(st.lists(st.one_of(st.text("aXx*#?.-/ \u2022\ufffdÃ©ñÑжñ", max_size=6), st.text(max_size=6)), max_size=20))
def test_what_a_pattern_matches_its_hint_matches(texts: list[str]) -> None:
    for pattern, hint in HINTS.items():
        exact, near = (pc.match_substring_regex(strings(texts), pattern=each) for each in (pattern, hint))
        assert not pc.any(pc.and_not(exact, near)).as_py(), (pattern, texts)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=8))
def test_cleaning_a_name_twice_changes_nothing(raw: list[str | None]) -> None:
    once = clean_names(strings([text and text.encode("utf-8", "replace").decode() for text in raw]))
    assert clean_names(once).to_pylist() == once.to_pylist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("José", "jose"),
        ("O'Brien", "OBRIEN"),
        ("Weiß", "Weiss"),
        ("Łukasz", "lukasz"),
        ("Mary Ann", "Mary-Ann"),
        ("\u0410\u043d\u043d\u0430", "A\u043d\u043da"),
        ("\u0396\u03c9\u03ae", "Z\u03c9\u03ae"),
        ("\u0421op\u0443", "COPY"),
    ],
)
def test_two_spellings_of_a_name_share_a_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("राम", "रमा"), ("रवि", "रवी"), ("สุดา", "สดา"), ("かな", "がな"), ("சீதா", "சதா"), ("ירון", "ירין")],
)
def test_vowels_that_are_written_as_marks_tell_names_apart(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize(("one", "other"), [("مُحَمَّد", "محمد"), ("שָׂרָה", "שרה"), ("Nguyễn", "Nguyen"), ("Ά", "α")])
def test_marks_that_are_left_out_as_often_as_not_do_not(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_punctuation_alone_is_not_a_key() -> None:
    assert name_key("--") == name_key(None) == ""


@pytest.mark.parametrize(
    ("raw", "email", "bad"),
    [
        (" Ann.Lee@Example.ORG ", "ann.lee@example.org", False),
        ("NULL", None, False),
        ("n/a", None, False),
        ("", None, False),
        (None, None, False),
        ("not an address", None, True),
        ("a@b", None, True),
        ("a..b@example.org", None, True),
        ("a@school.local", None, True),
        ("a@school.test", "a@school.test", False),
        ("ann@exämple.org", "ann@exämple.org", False),
        ("ann@XN--exmple-cua.org", "ann@exämple.org", False),
        ("ann@xn--.org", None, True),
        ("ann@example.org.", "ann@example.org", False),
        ("ann@example.org .", None, True),
        (".", None, False),
        ("a***@example.org", None, True),
        ("a*b@example.org", "a*b@example.org", False),
        ("x" * 65 + "@example.org", None, True),
    ],
)
def test_an_email_is_valid_or_dropped_and_an_empty_cell_is_not_a_mistake(
    raw: str | None, email: str | None, bad: bool
) -> None:
    cleaned, wrong = clean_emails(strings([raw]))
    assert (cleaned.to_pylist(), wrong.tolist()) == ([email], [bad])


ADDRESS = st.builds(
    lambda local, domain: f"{local}@{domain}",
    st.text(alphabet="abz09._+'-%", min_size=1, max_size=12),
    st.text(alphabet="abz09.-", min_size=1, max_size=14),
)


@settings(deadline=None)
@given(st.lists(ADDRESS, min_size=1, max_size=6))
def test_the_short_way_of_checking_emails_agrees_with_the_library(addresses: list[str]) -> None:
    assert clean_emails(strings(addresses))[0].to_pylist() == [
        valid_email(address.rstrip(".")) for address in addresses
    ]


@pytest.mark.parametrize(
    ("raw", "region", "phone", "bad"),
    [
        ("(312) 555-0142", "US", "+13125550142", False),
        ("312.555.0142 x12", "US", "+13125550142", False),
        ("1-312-555-0142", "US", "+13125550142", False),
        ("030 901820", "DE", "+4930901820", False),
        ("+44 20 7946 0958", "US", "+442079460958", False),
        ("555-0142", "US", None, True),
        ("call mum", "US", None, True),
        ("000-000-0000", "US", None, False),
        ("none", "US", None, False),
        (None, "US", None, False),
        ("+1 312 555 0142", "ZZ", "+13125550142", False),
        ("(312) 555-0142", "ZZ", None, True),
    ],
)
def test_a_phone_is_e164_or_dropped(raw: str | None, region: str, phone: str | None, bad: bool) -> None:
    cleaned, wrong = clean_phones(strings([raw]), region)
    assert (cleaned.to_pylist(), wrong.tolist()) == ([phone], [bad])


def _by_library(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    valid = phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if valid else None


PHONE = st.one_of(
    st.from_regex(r"\A[2-9][0-9]{2}[2-9][0-9]{6}\Z"),
    st.from_regex(r"\A(\+1 ?|1-)?\([2-9][0-9]{2}\) [0-9]{3}[-. ][0-9]{4}\Z"),
    st.from_regex(r"\A0?[1-9][0-9]{5,11}\Z"),
    st.from_regex(r"\A\+?(44|49|52|54|39|33|61)[ -]?0?[0-9]{6,11}\Z"),
)


@settings(deadline=None)
@given(
    st.lists(PHONE, min_size=1, max_size=20), st.sampled_from(["US", "CA", "DE", "GB", "MX", "AR", "IT", "BR", "FR"])
)
def test_every_phone_comes_out_as_the_library_has_it(raw: list[str], region: str) -> None:
    expected = [None if not text.strip("0 ().+-") else _by_library(text, region) for text in raw]
    assert clean_phones(strings(raw), region)[0].to_pylist() == expected


@pytest.mark.parametrize(
    ("grade", "code"),
    [
        ("9", "09"), ("09", "09"), ("9th", "09"), ("Grade 9", "09"), ("grade-11", "11"), ("KG", "KG"), ("K", "KG"),
        ("0", "KG"), ("Kindergarten", "KG"), ("Pre-K", "PK"), ("PK", "PK"), ("TK", "TK"), ("13", "13"), ("14", None),
        ("Freshman", "09"), ("ug", "UG"), ("Other", "OTHER"), ("GD", None), ("blue", None),
        ("1.0", "01"), ("09.00", "09"), ("0.0", "KG"), ("1.5", None), ("1-2", None), ("1/2", None), ("1 2", None),
        ("1_2", None), ("Grade 1, 2", None), ("-1", None), ("Grade -1", None), ("\u22121", None), ("Grade - 1", "01"),
        ("Grade 13", "13"), ("Grade 14", None),
        ("1.", "01"), ("Gr. 7", "07"), ("7 (seven)", None), ("Year 1 of 2", None),
    ],
)  # fmt: skip
def test_a_grade_becomes_its_ceds_code(grade: str, code: str | None) -> None:
    assert ceds(grade) == code
    assert code is None or code in CEDS


def test_of_several_grades_the_highest_counts_and_the_original_is_kept() -> None:
    told = {
        ("9", "10"): ("10", "9, 10", False),
        ("10", "9"): ("10", "10, 9", False),
        ("odd",): (None, "odd", True),
        (): (None, None, False),
        None: (None, None, False),
        ("KG", "odd"): ("KG", "KG, odd", False),
        ("9,10",): ("10", "9, 10", False),
        ("KG", "1"): ("01", "KG, 1", False),
        ("12", "PS"): ("PS", "12, PS", False),
        ("", " ", "9"): ("09", "9", False),
        ("NULL", "None", "n/a"): (None, None, False),
    }
    raw = pa.array([None if grades is None else list(grades) for grades in told], USER_LISTS["grades"])
    codes, originals, unknown = clean_grades(raw)
    assert list(zip(codes.to_pylist(), originals.to_pylist(), unknown.tolist(), strict=True)) == list(told.values())


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("identifier", "0042"),
        ("sourcedId", "a"),
        ("username", "ann"),
        ("userMasterIdentifier", "M1"),
        ("userIds:stateID", "S-7"),
        ("userIds:STATEid", "S-7"),
        ("userIds:other", None),
        ("metadata:localId", "77"),
        ("metadata:nothing", None),
    ],
)
def test_the_number_comes_from_where_the_connection_says(source: str, number: str | None) -> None:
    members: dict[str, Any] = {
        "identifier": " 0042 ",
        "username": "ann",
        "userMasterIdentifier": "M1",
        "userIds": [{"type": "x", "identifier": "1"}, {"type": "stateID", "identifier": "S-7"}],
        "metadata": {"localId": 77},
    }
    frame = frame_of([user("a", **members), user("b", userIds=[], username=None, identifier="0000")])
    told = numbers_from(frame, source)[0].to_pylist()
    assert told[0] == number
    assert told[1] == ("b" if source == "sourcedId" else None)


@pytest.mark.parametrize(
    ("raw", "number", "bad"),
    [
        ("12345.0", "12345", False),
        (12345.0, "12345", False),
        ("0042.0", "0042.0", False),
        ("1.20", "1.20", False),
        ("1.23E+05", None, True),
        ("1,23e+12", None, True),
        ("5E+11", None, True),
        (1.2345678901234568e19, None, True),
        ("12E5", "12E5", False),
        ("E+05", "E+05", False),
        ("***", None, True),
        ("12**", None, True),
        ("######", None, True),
        ("XXXXX", None, True),
        ("[Redacted]", None, True),
        ("#REF!", None, True),
        ("#DIV/0!", None, True),
        ("#N/A", None, True),
        ("#NV", None, True),
        ("#A/B1", "#A/B1", False),
        ("#\u00a1VALOR!", None, True),
        ("#REF", "#REF", False),
        ("#7", "#7", False),
        ("Xx", "Xx", False),
        ("---", None, False),
    ],
)
def test_a_number_that_a_spreadsheet_cut_or_that_is_hidden_is_unknown(raw: Any, number: str | None, bad: bool) -> None:
    told, wrong = numbers_from(frame_of([user("a", metadata={"nr": raw})]), "metadata:nr")
    assert (told.to_pylist(), wrong.tolist()) == ([number], [bad])


def test_a_number_that_is_the_sourced_id_stays_as_the_id_is() -> None:
    users = frame_of([user("7.0", identifier="7.0"), user("8", identifier="8.0")])
    assert numbers_from(users, "sourcedId")[0].to_pylist() == ["7.0", "8"]
    assert numbers_from(users, "identifier")[0].to_pylist() == ["7.0", "8"]


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"k": True}, "true"),
        ({"k": False}, "false"),
        ({"k": 1.5}, "1.5"),
        ({"k": None}, None),
        ({"k": ["7"]}, None),
        ({"k": {"7": "7"}}, None),
        (["k"], None),
        ("k", None),
    ],
)
def test_of_metadata_only_plain_values_are_taken_as_text(metadata: Any, text: str | None) -> None:
    assert numbers_from(frame_of([user("a", metadata=metadata)]), "metadata:k")[0].to_pylist() == [text]


def test_a_user_id_without_a_type_never_matches_a_type() -> None:
    untyped = {"type": None, "identifier": "1"}
    users = [user("a", userIds=[untyped, {"type": "x", "identifier": "2"}]), user("b", userIds=[untyped])]
    assert numbers_from(frame_of(users), "userIds:x")[0].to_pylist() == ["2", None]
