"""The words of the domain, for the help page; `docs/glossary_page.py` makes docs/glossary.md of them."""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from roster_pipeline.console.page import page, route


class Word(NamedTuple):
    """One word. code: its name in the code, below the package; empty if it has none."""

    name: str
    meaning: str
    code: str = ""

    @property
    def anchor(self) -> str:
        """Its place on the help page."""
        return self.name.lower().replace(" ", "-")


@cache
def glossary() -> dict[str, list[Word]]:
    """Title to words, from `glossary.txt`: a title, then its words, one a line."""
    found: dict[str, list[Word]] = {}
    words: list[Word] = []
    for line in files("roster_pipeline.console").joinpath("glossary.txt").read_text("utf-8").splitlines():
        parts = line.split(" | ")
        if len(parts) > 1:
            words.append(Word(*parts))
        elif line:
            words = found.setdefault(line, [])
    return found


@route("/help", "GET")
def show(request: Request) -> Response:
    """The glossary; each word has an anchor, to which other pages link."""
    return page(request, "help.html", glossary=glossary())
