"""The supported SIS list: valid, sourced, usable as settings, and the same in the docs."""

import runpy
from pathlib import Path

import pytest
from pydantic import ValidationError

from roster_pipeline.oneroster.http.endpoint import understand
from roster_pipeline.oneroster.presets import OTHER, SUBJECTS, Preset, UnknownPreset, preset, presets
from roster_pipeline.settings.school import ConnectionSettings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sis"


def test_names_are_unique_and_other_is_last() -> None:
    names = [one.name for one in presets()]
    assert len(names) == len(set(names)) > 10
    assert names[-1] == OTHER


@pytest.mark.parametrize("one", presets(), ids=lambda one: one.name)
def test_every_preset_has_sources_makes_settings_and_has_a_page(one: Preset) -> None:
    assert one.sources or one.name == OTHER
    assert {version for offer in one.offers for version in offer.versions} <= set(one.versions)
    given = one.defaults()
    settings = ConnectionSettings(**{"url": "https://sis.example.org"} | given)
    assert (settings.sis, settings.sign_in) == (one.name, one.sign_in)
    assert not any(word in str(given.get(name, "")) for name in ("url", "token_url") for word in one.placeholders)
    for shape in (one.url, one.token_url):
        if shape is not None:
            for word in one.placeholders:
                shape = shape.replace(word, "sis.example.org" if word == "HOST" else "abc")
            assert understand(shape).origin.startswith("https://")
            assert not any(letter.isupper() for letter in understand(shape).origin)
    page = (DOCS / f"{one.name}.md").read_text("utf-8")
    for heading in ("## Where to find what", "## What it delivers", "## Instead of the API"):
        assert heading in page
    for value in ("**Client ID**", "**Client Secret**", "**School ID**", "(../csv.md)"):
        assert value in page
    told = [*one.permissions, *one.quirks, *(offer.says for offer in one.offers), one.csv_at, one.url, one.token_url]
    assert [said for said in told if said and said not in page] == []
    assert [name for name in SUBJECTS.values() if f"| {name} | " not in page] == []


def test_what_is_known_depends_on_the_version() -> None:
    over = {version: preset("eschoolplus").offered("guardians", version) for version in ("1.1", "1.2")}
    assert [one.given for one in over["1.1"]] == [False]
    assert [one.given for one in over["1.2"]] == [True]
    assert len(preset("eschoolplus").offered("guardians")) == 2
    assert preset("other").offered("staff") == ()


def test_pages_above_the_cap_are_not_requested() -> None:
    assert all(one.page_size is None or one.page_size <= one.page_cap for one in presets() if one.page_cap is not None)


def test_an_address_that_every_customer_shares_is_filled_in() -> None:
    assert preset("blackbaud").defaults()["token_url"] == "https://oauth2.sky.blackbaud.com/token"
    assert "url" not in preset("aeries").defaults()
    assert preset("infinite-campus").placeholders == ("HOST", "APP")


def test_a_preset_is_found_by_name() -> None:
    assert preset(" Aeries ").display_name == "Aeries"
    with pytest.raises(UnknownPreset, match="Use one of: aeries"):
        preset("nonesuch")


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        Preset.model_validate(preset("aeries").model_dump() | {"colour": "green"})


def test_the_pages_in_the_docs_are_those_made_from_the_data(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("x")
    runpy.run_path(str(DOCS.with_name("sis_pages.py")))["write_pages"](tmp_path)
    written, made = ({file.name: file.read_text("utf-8") for file in place.glob("*.md")} for place in (DOCS, tmp_path))
    assert written == made, "run: python docs/sis_pages.py"
