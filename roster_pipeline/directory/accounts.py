"""Accounts of the console and what they may see: everything, a district, or a school.

An account has at least one grant: if the last one is taken away, the account is removed, with its sessions and its
binding to an identity provider. The caller checks who may grant what, and writes it into the audit.
"""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_until_commit
from roster_pipeline.directory.tables import access_grant, account, school
from roster_pipeline.directory.tenants import SchoolRow

OPERATOR, MANAGER, OWNER = "operator", "manager", "owner"
ACCESS_LOCK = "access"
"""The lock for taking access away. Without it, two operators who remove each other could both succeed."""
_THEIRS = account.c.id == access_grant.c.account_id
GRANTS = """
select g.id, a.email, a.name, g.role, d.id as district_id, d.key as district_key, g.school_id, s.key as school_key,
       coalesce(s.key, d.key, 'everything') as place, g.granted_by, g.granted_at, a.signed_in_at
from access_grant g
join account a on a.id = g.account_id
left join school s on s.id = g.school_id
left join district d on d.id = coalesce(g.district_id, s.district_id)
where (cast(:districts as bigint[]) is null or d.id = any(:districts))
  and position(:words in lower(concat_ws(E'\\n', a.email, d.key, s.key))) > 0
order by a.email, g.role desc, d.key, s.key limit :limit
"""


class LastOperator(DirectoryError):
    """The last operator cannot be removed: somebody has to be able to give others access."""

    def __init__(self) -> None:
        super().__init__(
            "This is the last operator, so the grant stays.",
            "Make somebody else an operator first: roster access grant",
        )


@dataclass(frozen=True)
class Place:
    """The scope of a grant: everything (no id), a district, or a school."""

    district_id: int | None = None
    school_id: int | None = None

    @property
    def role(self) -> str:
        """operator, manager or owner."""
        return OWNER if self.school_id is not None else MANAGER if self.district_id is not None else OPERATOR


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in. bound: to a subject of an identity provider."""

    id: int
    email: str
    name: str
    bound: bool
    operator: bool
    districts: frozenset[int]
    schools: frozenset[int]

    def may_see(self, school: SchoolRow) -> bool:
        """Whether they may see the school, with all of its pages, settings and decisions."""
        return self.may_manage(school.district_id) or school.id in self.schools

    def may_manage(self, district_id: int) -> bool:
        """Whether they may add schools and connections to this district, and give others access."""
        return self.operator or district_id in self.districts

    @property
    def may_give_access(self) -> bool:
        """Whether there is anything that they could grant."""
        return self.operator or bool(self.districts)

    @property
    def managed(self) -> frozenset[int] | None:
        """The districts that they manage; None for all."""
        return None if self.operator else self.districts


COMMAND_LINE = Account(0, "", "", bound=False, operator=True, districts=frozenset(), schools=frozenset())
"""A person who can run the command line operates the installation."""


def normal(email: str) -> str:
    """The spelling in which an address is kept."""
    return unicodedata.normalize("NFC", email.strip()).lower()


def grant(conn: Connection, email: str, place: Place, *, by: str) -> bool:
    """Let somebody see a place; the account is made if it is missing. Returns False if they had the grant already."""
    made = insert(account).values(email=normal(email))
    made = made.on_conflict_do_update(index_elements=["email"], set_={"email": made.excluded.email})
    account_id = conn.execute(made.returning(account.c.id)).scalar_one()
    row = insert(access_grant).values(
        account_id=account_id, role=place.role, district_id=place.district_id, school_id=place.school_id, granted_by=by
    )
    return conn.scalar(row.on_conflict_do_nothing().returning(access_grant.c.id)) is not None


def revoke(conn: Connection, email: str, place: Place | None) -> int:
    """Take one grant away, or all (None); returns how many. Raises LastOperator, DirectoryError for none."""
    lock_until_commit(conn, ACCESS_LOCK)
    if (place is None or place.role == OPERATOR) and operators(conn) == [normal(email)]:
        raise LastOperator
    own = select(account.c.id).where(account.c.email == normal(email)).scalar_subquery()
    chosen = [access_grant.c.account_id == own, *([_of(place)] if place is not None else [])]
    gone = conn.execute(delete(access_grant).where(*chosen)).rowcount
    if not gone:
        raise DirectoryError("There is no such grant.", "See which there are: roster access list")
    conn.execute(delete(account).where(account.c.id.not_in(select(access_grant.c.account_id))))
    return gone


def operators(conn: Connection) -> list[str]:
    """The e-mails of all operators, in the order in which they became operators."""
    query = select(account.c.email).join(access_grant, _THEIRS).where(access_grant.c.role == OPERATOR)
    return list(conn.scalars(query.order_by(access_grant.c.id)))


def find(conn: Connection, email: str) -> Account | None:
    return _one(conn, account.c.email == normal(email))


def by_id(conn: Connection, account_id: int) -> Account | None:
    """The account with a number, with what it may see at this moment."""
    return _one(conn, account.c.id == account_id)


def by_subject(conn: Connection, issuer: str, subject: str) -> Account | None:
    """The account that is bound to this subject of an identity provider."""
    return _one(conn, and_(account.c.issuer == issuer, account.c.subject == subject))


def bind(conn: Connection, account_id: int, issuer: str, subject: str, name: str) -> bool:
    """Bind an account to (issuer, subject). False if another subject of the issuer has it."""
    free = account.c.issuer.is_(None) | (account.c.issuer != issuer) | (account.c.subject == subject)
    changed = update(account).where(account.c.id == account_id, free)
    return bool(conn.execute(changed.values(issuer=issuer, subject=subject, name=name)).rowcount)


def district_of(conn: Connection, place: Place) -> int | None:
    """The district of a place; None for everything."""
    if place.school_id is None:
        return place.district_id
    return conn.scalar(select(school.c.district_id).where(school.c.id == place.school_id))


def managers_of(conn: Connection, district_id: int) -> list[str]:
    return [grant.email for grant in grants(conn, districts=[district_id]) if grant.role == MANAGER]


def grants(
    conn: Connection, *, districts: Collection[int] | None = None, words: str = "", limit: int | None = None
) -> Sequence[Row[Any]]:
    """Grants by address: operators, owners, managers. districts: also their schools. words: of address or key. place:
    the key of the district or school, or `everything`. For a school, district_key is that of its district."""
    given = {"districts": None if districts is None else list(districts), "words": words.lower(), "limit": limit}
    return conn.execute(text(GRANTS), given).all()


def _of(place: Place) -> ColumnElement[bool]:
    return and_(
        access_grant.c.role == place.role,
        access_grant.c.district_id.is_not_distinct_from(place.district_id),
        access_grant.c.school_id.is_not_distinct_from(place.school_id),
    )


def _one(conn: Connection, condition: ColumnElement[bool]) -> Account | None:
    query = (
        select(
            account.c.id,
            account.c.email,
            account.c.name,
            account.c.subject.is_not(None).label("bound"),
            func.bool_or(access_grant.c.role == OPERATOR).label("operator"),
            func.array_agg(access_grant.c.district_id).label("districts"),
            func.array_agg(access_grant.c.school_id).label("schools"),
        )
        .join(access_grant, _THEIRS)
        .where(condition)
        .group_by(account.c.id)
    )
    row = conn.execute(query).mappings().first()
    if row is None:
        return None
    return Account(**{**row, "districts": _ids(row["districts"]), "schools": _ids(row["schools"])})


def _ids(values: list[Any]) -> frozenset[int]:
    return frozenset(value for value in values if value is not None)
