"""What the words of the console mean, for those who are signed in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.glossary import GLOSSARY
from roster_pipeline.console.page import page


def show(request: Request) -> Response:
    """The glossary; each word has an anchor, to which other pages link."""
    return page(request, "help.html", glossary=GLOSSARY)


routes = [Route("/help", show, methods=["GET"])]
