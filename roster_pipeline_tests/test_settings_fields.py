"""The table of settings, the models, the options and the documentation say the same."""

import datetime
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from roster_pipeline.oneroster import connection_test_items
from roster_pipeline.settings import fields, school
from roster_pipeline.settings.fields import Setting

CODE = Path(connection_test_items.__file__)
PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
ROLE_FIELDS = {f"{role}.{name}" for role in fields.ROLES for name in school.RoleSettings.model_fields}
WITH_OPTIONS = [setting for setting in (*fields.CONNECTION, *fields.SCHOOL) if setting.flags]


def choices_of(annotation: Any) -> set[str]:
    return set(get_args(annotation)) if get_origin(annotation) is Literal else set()


@pytest.mark.parametrize(
    ("table", "model"),
    [
        (fields.DISTRICT, school.DistrictSettings),
        (fields.CONNECTION, school.ConnectionSettings),
        (fields.GUARDS, school.Guards),
        (fields.SCHOOL, school.SchoolSettings),
    ],
    ids=["district", "connection", "guards", "school"],
)
def test_the_table_has_the_settings_of_the_model(table: tuple[Setting, ...], model: type[BaseModel]) -> None:
    nested = set(fields.ROLES) | {"windows"}
    assert {setting.name for setting in table} - ROLE_FIELDS == set(model.model_fields) - nested
    for setting in table:
        if setting.name in ROLE_FIELDS or setting.name == "guards":
            continue
        field = model.model_fields[setting.name]
        expected = None if field.is_required() else field.default
        if isinstance(expected, datetime.time):
            expected = f"{expected:%H:%M}"
        assert setting.default == (tuple(expected) if isinstance(expected, list) else expected), setting.name
        assert {value for value, _ in setting.choices} == choices_of(model.model_fields[setting.name].annotation)


def test_every_switch_of_every_role_is_in_the_table_and_off_by_default() -> None:
    switches = {setting.name: setting.default for setting in fields.SCHOOL if setting.name in ROLE_FIELDS}
    assert switches == dict.fromkeys(ROLE_FIELDS, False)
    assert school.RoleSettings() == school.RoleSettings(rostered=False, auto_update=False, archive=False)


def test_every_setting_is_in_one_section_of_the_pages() -> None:
    names = [name for section in fields.SECTIONS for name in section.names]
    assert len(names) == len(set(names))
    assert set(names) == {*school.SchoolSettings.model_fields, *school.ConnectionSettings.model_fields, "name"}


def test_the_words_for_windows_and_severities_are_those_of_the_models() -> None:
    assert {value for value, _ in fields.WINDOW_KINDS} == choices_of(school.Window.model_fields["kind"].annotation)
    severities = get_args(school.QualityRule.model_fields["severity"].annotation)[0]
    assert {value for value, _ in fields.SEVERITIES if value} == set(get_args(severities))


def test_the_documentation_says_the_same_as_the_help() -> None:
    for setting in WITH_OPTIONS:
        flags = ", ".join(f"`{flag}`" for flag in setting.flags.split("/"))
        rows = [line for line in PAGE.splitlines() if line.startswith(f"| {flags} | {setting.described}")]
        assert rows, setting.name
        assert rows[0].endswith(f"| {setting.default_words} |"), setting.name
    for guard in fields.GUARDS:
        assert f"| `{guard.name}` | {guard.default:g} | {guard.help} |" in PAGE


def test_every_setting_has_a_title_and_sentences() -> None:
    for setting in (*fields.DISTRICT, *fields.CONNECTION, *fields.SCHOOL, *fields.GUARDS):
        assert setting.title[0].isupper()
        assert setting.help.endswith((".", "= staff")), setting.name


def test_an_audit_entry_names_settings_by_their_titles() -> None:
    assert fields.title_of("students.archive") == "Students: Archive"
    assert fields.title_of("guards.archive_share") == "Archived people"
    assert fields.title_of("guards.windows") == "Guards"
    assert fields.title_of("client_secret") == "Client Secret"


@pytest.mark.parametrize(
    "pasted",
    [
        "\ufeffhttps://sis.example.org/ims",
        " HTTPS://sis.example.org/ims\u200b ",
        "https://sis.exam\u00adple.org/ims",
        "<https://sis.example.org/ims>",
        '"https://https://sis.example.org/ims"',
        "http://https://sis.example.org/ims",
    ],
)
def test_an_address_is_stored_as_it_looks(pasted: str) -> None:
    settings = school.ConnectionSettings(url=pasted, token_url=pasted)
    assert settings.url == settings.token_url == "https://sis.example.org/ims"


def test_a_school_id_is_stored_without_the_blanks_around_it() -> None:
    assert school.SchoolSettings(school_id=" 0300\t").school_id == "0300"
    with pytest.raises(ValueError, match="at least 1 character"):
        school.SchoolSettings(school_id="  ")


@pytest.mark.parametrize("pasted", ["", "sis.example.org", "javascript://x", "https://a b", "https://", "\u200b"])
def test_another_text_is_refused_as_an_address(pasted: str) -> None:
    with pytest.raises(ValueError, match="give the full address"):
        school.ConnectionSettings(url=pasted)


@pytest.mark.timeout(30)
def test_an_absurdly_long_address_takes_no_longer_than_its_letters() -> None:
    with pytest.raises(ValueError, match="give the full address"):
        school.ConnectionSettings(url="https://" * 31_000 + " x")


def test_an_item_of_the_test_names_the_field_to_change_as_the_page_does() -> None:
    code = re.sub(r"[\"']\s+[\"']", " ", CODE.read_text(encoding="utf-8"))
    named = {name.replace("{name}", "Staff number") for name in re.findall(r'the setting\s+"([^"]+)"', code)}
    assert len(named) == 4
    assert named <= {setting.title for setting in (*fields.CONNECTION, *fields.SCHOOL)}
