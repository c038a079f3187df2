"""Makes the client of a stored connection: a client for the API of its SIS, or the source of its CSV bundles."""

from __future__ import annotations

from dataclasses import replace

from roster_pipeline.cleaning.contact_rules import AGENTS, METADATA, contact_fields, stored_key
from roster_pipeline.directory.secrets import unseal
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.oneroster import Client, Endpoint
from roster_pipeline.oneroster.bundle import BundleSource, is_bundle_url, source_of
from roster_pipeline.oneroster.http.endpoint import Limits


def endpoint_of(connection: ConnectionRow) -> Endpoint:
    """The endpoint with its secret in plain text. Keep it only as long as the step needs it."""
    chosen = connection.settings
    return Endpoint(
        base_url=chosen.url,
        client_id=chosen.client_id,
        client_secret=_secret(connection),
        sign_in=chosen.sign_in,
        token_url=chosen.token_url,
        scopes=chosen.scopes,
        version=chosen.version,
        page_size=chosen.page_size,
        ca_bundle=chosen.ca_bundle,
        allow_private=chosen.allow_private_addresses,
        metadata_keys=_metadata_keys(connection),
        learned=connection.learned,
    )


def is_bundle(connection: ConnectionRow) -> bool:
    """Whether the SIS gives CSV bundles instead of an API."""
    return is_bundle_url(connection.settings.url)


def source_of_connection(connection: ConnectionRow) -> BundleSource:
    """The source of the connection's CSV bundles.

    The Client ID and the Client Secret are the user and the password of SFTP.
    """
    chosen = connection.settings
    return source_of(
        chosen.url,
        chosen.client_id,
        _secret(connection),
        host_key=chosen.host_key,
        allow_private=chosen.allow_private_addresses,
        metadata_keys=_metadata_keys(connection),
    )


def _secret(connection: ConnectionRow) -> str:
    return unseal(connection.secret) if connection.secret else ""


def _metadata_keys(connection: ConnectionRow) -> tuple[str, ...]:
    """The members of a user's metadata that some setting reads. All others are dropped when records are read."""
    chosen = connection.settings
    numbers = (chosen.student_number_from, chosen.staff_number_from, chosen.primary_contact_from or "")
    sources = (*numbers, *contact_fields(chosen))
    kept = {stored_key(source) for source in sources if source.startswith((METADATA, AGENTS))}
    return tuple(sorted(kept))


def client_of(connection: ConnectionRow, limits: Limits | None = None) -> Client:
    """A client for this connection. Use it as a context manager. limits: limits that replace the usual ones."""
    endpoint = endpoint_of(connection)
    return Client(replace(endpoint, limits=limits) if limits else endpoint)
