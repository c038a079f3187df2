"""Lets people into the console, and takes their access away. The audit has each change, and who made it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection

from roster_pipeline.directory import accounts, audit, outbox, sessions, tenants
from roster_pipeline.directory.accounts import Account, Place
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.notifications.mail import FOLDER_SENDER, message_id
from roster_pipeline.notifications.notice import invitation_mail
from roster_pipeline.settings.installation import MailServer
from roster_pipeline.settings.school import EmailAddress

ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)


class NoAddress(DirectoryError):
    """The given text is not an e-mail address."""

    def __init__(self) -> None:
        super().__init__("This is not an e-mail address.", "Write it like office@riverside.example.")


def place_of(conn: Connection, *, operator: bool = False, district: str = "", school: str = "") -> Place:
    """The place that these keys name. Raises UnknownKey, and DirectoryError unless they name exactly one."""
    if [operator, bool(district), bool(school)].count(True) != 1:
        raise DirectoryError(
            "Say for what: everything, one district, or one school.", "Choose exactly one of the three."
        )
    if district:
        return Place(district_id=tenants.get_district(conn, district).id)
    return Place(school_id=tenants.get_school(conn, school).id) if school else Place()


def address(email: str) -> str:
    """The address in the form in which it is stored. Raises NoAddress."""
    try:
        return accounts.normal(ADDRESS.validate_python(email.strip()))
    except ValidationError:
        raise NoAddress from None


def grant(conn: Connection, email: str, place: Place, *, who: str) -> bool:
    """Let somebody see a place. Returns False if they could see it already. Raises NoAddress."""
    email = address(email)
    added = accounts.grant(conn, email, place, by=who)
    if added:
        _note(conn, "access granted", email, place, who)
    return added


def revoke(conn: Connection, email: str, place: Place | None, *, who: str) -> None:
    """Take one grant away, or all (None); it counts from the next click. Raises as `accounts.revoke`."""
    number, email = accounts.revoke(conn, email, place), accounts.normal(email)
    if place is None:
        audit.record(conn, who, "access revoked", details={"account": email, "grants": number})
    else:
        _note(conn, "access revoked", email, place, who)


def link_for(conn: Connection, email: str, *, who: str) -> str:
    """The token of a one-time link that signs somebody in. Raises DirectoryError if nobody has this address."""
    account = accounts.find(conn, email)
    if account is None:
        raise DirectoryError("Nobody with this address may use the console.", "Let them in first: roster access grant")
    audit.record(conn, who, "sign-in link made", details={"account": account.email})
    return sessions.new_link(conn, account.id)


def invite(conn: Connection, email: str, places: Sequence[str], *, console_url: str | None, path: str = "") -> None:
    """Put an invitation into the outbox. places: names of schools or districts. path: the page that it leads to. It has
    no link that signs in, because others may read the outbox and the mail may be opened weeks later."""
    sender = MailServer.read().mail_from or FOLDER_SENDER
    outbox.put(
        conn,
        message_id=message_id("invitation", email, *places, datetime.now(UTC).isoformat(), sender=sender),
        kind="invitation",
        recipients=[email],
        mail=invitation_mail(places, f"{console_url}{path}" if console_url else None),
    )


def note_sign_in(conn: Connection, account: Account, by: str) -> None:
    """Note a sign-in in the audit. by: link or openid."""
    audit.record(conn, account.email, "signed in", details={"by": by})


def note_refusal(conn: Connection, who: str, reason: str) -> None:
    """Note a refused sign-in. who: a proved address, or a word; never a text that a stranger typed."""
    audit.record(conn, who, "sign-in refused", details={"reason": reason})


def _note(conn: Connection, what: str, email: str, place: Place, who: str) -> None:
    district_id, details = accounts.district_of(conn, place), {"account": email, "role": place.role}
    audit.record(conn, who, what, district_id=district_id, school_id=place.school_id, details=details)
