"""What people may let this machine reach, who are not its operators.

A form that tests an address is a way to ask this machine to call somewhere. Owners and managers reach public servers
only. An operator can open one server in the private network for a connection; the permission is for that server and
ends when somebody else changes the address. Files of this machine are the operator's, and variables of its environment
are set at the command line alone.
"""

from __future__ import annotations

from roster_pipeline.directory.secrets import REFERENCE
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.services.connection_changes import same_place, secret_must_be_typed
from roster_pipeline.services.field_error import SECRET, FieldError
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

PEM = "-----BEGIN"
TYPE_AGAIN = "The server changed, so type the Client Secret again: the stored one is not sent to another."


def allowed(
    stored: ConnectionSettings | None, wanted: ConnectionSettings, *, operator: bool, manager: bool
) -> ConnectionSettings:
    """What may be tried and saved of the wanted settings. stored: None for a new connection. Raises FieldError.

    manager: whether they manage the connection's district; operators always do.
    """
    if operator:
        return wanted
    if not manager and stored is not None and "district" in (stored.controlled_by, wanted.controlled_by):
        raise FieldError("controlled_by", "Only a manager of the district may change a connection of the district.")
    if wanted.url.lower().startswith("file:") and (stored is None or stored.url != wanted.url):
        raise FieldError("url", "Only an operator can let a connection read files of this machine.")
    named = wanted.ca_bundle is not None and not wanted.ca_bundle.lstrip().startswith(PEM)
    if named and (stored is None or stored.ca_bundle != wanted.ca_bundle):
        raise FieldError("ca_bundle", "Paste the certificates themselves, each from its line -----BEGIN on.")
    private = stored is not None and stored.allow_private_addresses and same_place(stored, wanted)
    return wanted.model_copy(update={"allow_private_addresses": private})


def same_org(stored: SchoolRow, wanted: SchoolSettings) -> None:
    """For those who may not change the connection, because it serves schools of others or is the district's: the
    School ID stays.

    With another one they would be given the people of a school that is not theirs. Raises FieldError.
    """
    if wanted.school_id != stored.settings.school_id:
        if stored.connection.settings.controlled_by == "district":
            raise FieldError("school_id", "Only a manager of the district may change it.")
        raise FieldError("school_id", "Only somebody who looks after all schools of this connection may change it.")


def usable_secret(stored: ConnectionRow | None, wanted: ConnectionSettings, typed: str | None) -> str | None:
    """The typed secret, or None for the stored one. Raises FieldError where it has to be typed, or may not be it."""
    if typed:
        if typed.startswith(REFERENCE):
            raise FieldError(SECRET, "A secret that is kept in a variable is set at the command line.")
        return typed
    if stored is not None and stored.secret and secret_must_be_typed(stored.settings, wanted):
        raise FieldError(SECRET, TYPE_AGAIN)
    return None
