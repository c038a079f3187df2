"""From a proved identity to an account.

An e-mail address counts once, at the first sign-in. From then on the account belongs to that subject of the provider:
somebody who gets the address later, as happens to offices, does not get the account with it.
"""

from __future__ import annotations

from sqlalchemy import Connection

from roster_pipeline.console.auth.openid import Identity
from roster_pipeline.directory import accounts, sign_ins
from roster_pipeline.directory.accounts import Account
from roster_pipeline.services.access_changes import note_refusal, note_sign_in

UNKNOWN = "somebody unknown"
NOT_VERIFIED = (
    "The identity provider does not say that your e-mail address is verified, so it cannot be used here. "
    "Verify it there, or ask whoever runs this console."
)
NOT_LET_IN = (
    "You are signed in there as {email}, but nobody has let this address in here. "
    "Ask an operator of this console, or the manager of your district, for access."
)
ANOTHER_PERSON = (
    "The account of {email} belongs to another person at the identity provider. "
    "If it is to be yours now, an operator has to take its access away and give it anew."
)


def account_of(opened: Connection, identity: Identity) -> Account | str:
    """The account, bound to this identity, with the audit's line; or why there is none, for the person to read."""
    known = accounts.by_subject(opened, identity.issuer, identity.subject)
    if known is None and not identity.email:
        note_refusal(opened, UNKNOWN, "the e-mail address is not verified")
        return NOT_VERIFIED
    account = known or accounts.find(opened, identity.email)
    email = accounts.normal(identity.email)
    if account is None:
        note_refusal(opened, email, "this address has no access")
        return NOT_LET_IN.format(email=email)
    if not accounts.bind(opened, account.id, identity.issuer, identity.subject, identity.name):
        note_refusal(opened, email, "the account belongs to another subject")
        return ANOTHER_PERSON.format(email=email)
    if not account.bound:
        sign_ins.use_up(opened, account.id)  # from now on the provider is asked
    note_sign_in(opened, account, "openid")
    return account
