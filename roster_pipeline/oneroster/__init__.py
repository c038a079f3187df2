"""A OneRoster 1.1 and 1.2 REST client. It knows the standard and real servers, but nothing of the directory.

with Client(Endpoint("https://sis.example.org", client_id, client_secret)) as client:
    school = client.find_org("0300")
    people = pull(client, Wanted(contacts=True))
    for batch in people: ...
    people.proof.complete
"""

from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.collections.pull import Pull, pull
from roster_pipeline.oneroster.collections.wanted import Batch, Wanted
from roster_pipeline.oneroster.connection_test_items import CheckItem
from roster_pipeline.oneroster.errors import (
    AddressNotAllowed,
    Busy,
    DataMoved,
    Malformed,
    NotOffered,
    NotOneRoster,
    OneRosterError,
    PagingBroken,
    Redirected,
    Refused,
    RequestRefused,
    SchoolNotFound,
    ServerFailed,
    SignInRefused,
    TlsFailed,
    TooLarge,
    TooSlow,
    Unreachable,
    WrongAddress,
)
from roster_pipeline.oneroster.http.endpoint import Clock, Endpoint, Limits
from roster_pipeline.oneroster.witness import Answer, WitnessReport

__all__ = [
    "AddressNotAllowed", "Answer", "Batch", "Busy", "CheckItem", "Client", "Clock", "DataMoved", "Endpoint",
    "Limits", "Malformed", "NotOffered", "NotOneRoster", "OneRosterError", "PagingBroken", "Proof", "Pull",
    "Redirected", "Refused", "RequestRefused", "SchoolNotFound", "ServerFailed", "SignInRefused", "TlsFailed",
    "TooLarge", "TooSlow", "Unreachable", "Wanted", "WitnessReport", "WrongAddress", "pull",
]  # fmt: skip
