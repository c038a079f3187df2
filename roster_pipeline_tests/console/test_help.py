"""The help page and docs/glossary.md have every word of the glossary, and pages lead to the word of their heading."""

import re
import runpy
from html import unescape
from importlib import import_module
from pathlib import Path

import roster_pipeline.console
from roster_pipeline.console.pages.glossary import glossary
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import Browser, Console
from roster_pipeline_tests.console.held_plans import held_archive
from roster_pipeline_tests.directory.builders import person_of, snapshot_of

WORDS = {word.anchor: word for words in glossary().values() for word in words}
TEMPLATES = Path(roster_pipeline.console.__file__).parent / "templates"


def test_the_page_has_every_word_with_its_meaning_and_names_of_the_code_nowhere(
    owner: Browser, console: Console
) -> None:
    page = owner.get("/help").text
    listed = re.findall(r'<div id="([a-z-]+)"><dt>([^<]*)</dt><dd>([^<]*)</dd>', page)
    assert [tuple(map(unescape, one)) for one in listed] == [
        (anchor, word.name, word.meaning) for anchor, word in WORDS.items()
    ]
    assert "directory.accounts" not in page
    with console.browser() as nobody:
        assert "/help" not in nobody.get("/sign-in").text


def test_every_page_leads_to_the_help_and_headings_to_their_word(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    finding = {"guard": "archivals", "message": "Many.", "value": 1, "limit": 0, "overridable": True}
    plan = held_archive(database, lincoln, finding)
    for path, word in {
        "/": "",
        "/account": "",
        "/no-such-page": "",
        "/holds": "hold",
        "/schools/lincoln/holds": "hold",
        f"/schools/lincoln/plans/{plan}": "plan",
        f"/people/{person_of(database, 'old')}": "person",
        f"/schools/lincoln/rejected/{snapshot_of(database, lincoln)}": "rejection",
    }.items():
        page = owner.get(path).text
        assert '<a href="/help">What do these words mean?</a>' in page, path
        assert set(re.findall(r'href="/help#([^"]+)"', page)) == ({word} if word else set()), path


def test_a_word_that_a_page_explains_is_on_the_help_page() -> None:
    pages = "".join(template.read_text(encoding="utf-8") for template in TEMPLATES.glob("*.html"))
    used = set(re.findall(r'ui\.meaning\("([^"]+)"\)', pages))
    assert used
    assert used <= set(WORDS)


PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"
ALL = [word for words in glossary().values() for word in words]


def test_every_word_has_one_line() -> None:
    assert len(ALL) > 50
    assert len({word.anchor for word in ALL}) == len(ALL)


def test_the_page_is_made_of_the_words() -> None:
    made = runpy.run_path(str(PAGE.with_name("glossary_page.py")))["markdown"]()
    assert PAGE.read_text(encoding="utf-8") == made, "run: python docs/glossary_page.py"


def test_every_name_of_the_glossary_is_in_the_code() -> None:
    for name in filter(None, (word.code for word in ALL)):
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(f"roster_pipeline.{module}"), attribute), name
