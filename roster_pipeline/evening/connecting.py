"""From a stored connection to a client that can talk to its SIS."""

from __future__ import annotations

from roster_pipeline.directory.secrets import unseal
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.oneroster import Client, Endpoint

METADATA_PREFIX = "metadata:"


def endpoint_of(connection: ConnectionRow) -> Endpoint:
    """The endpoint with its secret opened; lives only as long as the step that needs it."""
    chosen = connection.settings
    sources = (chosen.student_number_from, chosen.staff_number_from, chosen.primary_contact_from or "")
    wanted = tuple(sorted({source.removeprefix(METADATA_PREFIX) for source in sources if METADATA_PREFIX in source}))
    return Endpoint(
        base_url=chosen.url,
        client_id=chosen.client_id,
        client_secret=unseal(connection.secret) if connection.secret else "",
        sign_in=chosen.sign_in,
        token_url=chosen.token_url,
        scopes=chosen.scopes,
        version=chosen.version,
        page_size=chosen.page_size,
        ca_bundle=chosen.ca_bundle,
        allow_private=chosen.allow_private_addresses,
        metadata_keys=wanted,
        learned=connection.learned,
    )


def client_of(connection: ConnectionRow) -> Client:
    """A client for this connection; use it as a context manager."""
    return Client(endpoint_of(connection))
