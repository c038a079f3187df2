"""The discovery document of 1.2: the localised OpenAPI file, readable without signing in."""

from roster_pipeline.simulator.catalog import FULL, ROUTES
from roster_pipeline.simulator.payload import Record
from roster_pipeline.simulator.tokens import ROSTER_SCOPES, SCOPE_PREFIXES

FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""Two documents of the standard name the file differently; both names answer."""


def discovery_document(root: str, token_url: str) -> Record:
    """Where the service and its token endpoint stand, which scopes it knows and which paths it serves."""
    scopes = {SCOPE_PREFIXES["1.2"] + name: name for name in ROSTER_SCOPES}
    flow = {"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}}
    paths: dict[str, Record] = {}
    for names, route in ROUTES.items():
        path = "/{id}/".join(("", *names)).removeprefix("/{id}") if len(names) > 1 else f"/{names[0]}"
        paths[path] = {"get": {"responses": {"200": {"description": "the collection"}}}}
        if len(names) == 1 and route.scope != FULL:
            paths[f"{path}/{{sourcedId}}"] = {"get": {"responses": {"200": {"description": "one object"}}}}
    return {
        "openapi": "3.0.1",
        "info": {"title": "OneRoster rostering, simulated", "version": "1.2"},
        "servers": [{"url": root}],
        "paths": paths,
        "components": {"securitySchemes": {"OAuth2CC": {"type": "oauth2", "flows": flow}}},
    }
