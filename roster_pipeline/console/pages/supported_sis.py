"""Supported SISs: what each can do, where to find what to enter, what to grant there, and the way without an API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.console.auth.viewer import nothing_here, viewer
from roster_pipeline.console.page import page
from roster_pipeline.oneroster.presets import SIGN_IN, SUBJECTS, UNKNOWN, UnknownPreset, offered, preset, presets


def list_(request: Request) -> Response:
    """GET: all of them, and CSV bundles for a SIS without an API."""
    viewer(request)
    return page(request, "supported_sis.html", presets=presets(), sign_in=SIGN_IN, unknown=UNKNOWN)


def show(request: Request) -> Response:
    """GET: one of them."""
    viewer(request)
    try:
        found = preset(request.path_params["sis"])
    except UnknownPreset:
        raise nothing_here() from None
    delivers = [(name, offered(found, subject)) for subject, name in SUBJECTS.items()]
    return page(request, "one_sis.html", preset=found, delivers=delivers, sign_in=SIGN_IN, unknown=UNKNOWN)


routes = [
    Route("/sis", list_, methods=["GET"]),
    Route("/sis/{sis}", show, methods=["GET"]),
]
