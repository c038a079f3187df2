"""Lists of people, a page at a time.

A list is of some schools of a district or of the whole district, and it can be searched, filtered and counted.

One row is one person. A search reads every person of the scope. A page out of 100,000 people takes 0.1 s, and counting
them takes as long. A trigram index would need an extension that the embedded server does not have.

Accents and capitals do not count in a search: `jose` finds José, and `José` finds Jose. The database folds stored texts
with `folded`, and Python folds the typed words with `fold`. Both follow the same steps.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

from roster_pipeline.directory.plans import IN_SCOPE, NEWEST_OF_SCHOOLS
from roster_pipeline.vocabulary import full_name

_ACCENTS = "\u0300-\u036f"
_DIGITS = 18
"""Numbers of this many digits always fit into a bigint."""
_STROKED, _PLAIN = "øłđħıØŁĐĦ", "oldhiOLDH"
"""Letters with a stroke or without a dot. Unicode has no decomposition for them."""
MOST_WORDS = 8
"""Words of a search. For each word, the database looks at every person."""

Mark = Literal["", "excluded", "locked", "no_email", "conflict"]
Source = Literal["", "sis", "hand"]


def fold(word: str) -> str:
    """A word without accents and capitals."""
    bare = re.sub(f"[{_ACCENTS}]", "", unicodedata.normalize("NFKD", word))
    return bare.translate(str.maketrans(_STROKED, _PLAIN)).lower()


def folded(expression: str) -> str:
    """SQL of a text without accents and capitals. Most texts are ASCII, and folding the others takes 10 µs each."""
    bare = f"regexp_replace(normalize(whole, NFKD), '[{_ACCENTS}]', '', 'g')"
    plain = (
        f"case when octet_length(whole) = length(whole) then whole else translate({bare}, '{_STROKED}', '{_PLAIN}') end"
    )
    computed_once = f"(select {expression} as whole offset 0)"
    return f"(select lower({plain}) from {computed_once} said)"  # noqa: S608 - our own columns


def words_in(expression: str, words: str) -> tuple[list[str], dict[str, Any]]:
    """Conditions that every word is in a folded text, and their values."""
    given = {f"word{place}": fold(word) for place, word in enumerate(words.replace("\0", "").split()[:MOST_WORDS])}
    return [f"position(:{name} in {expression}) > 0" for name in given], given


def number_in(word: str) -> int:
    """A word as a person's number; 0, which nobody has, if it is not a number."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _DIGITS else 0


_SEARCHED = (
    "concat_ws(' ', p.given_name, p.middle_name, p.family_name, p.preferred_given_name, p.preferred_family_name{more})"
)
_FULL = folded(_SEARCHED.format(more=", p.email, p.username, p.number"))
_NAMES = folded(_SEARCHED.format(more=""))
_ELSEWHERE = """
or p.id = :number{place}
or p.id in (select l.person_id from link l where l.district_id = :district and lower(l.sourced_id) = :record{place})
or p.id in (
    select c.person_id from contact c where c.district_id = :district
    and (cast(:schools as bigint[]) is null or c.school_id = any(:schools)) and position(:word{place} in {contact}) > 0
)
"""
"""A person is also found by their own number, by the sourcedId of a record, and by the name or e-mail of a contact."""
_CONTACT = folded("concat_ws(' ', c.given_name, c.family_name, c.email)")
_MOVED_ON = (
    "(not exists (select from membership a where a.district_id = p.district_id and a.person_id = p.id "
    "and a.status = 'active' and a.school_id = any(:schools)) "
    "and exists (select from membership a where a.district_id = p.district_id and a.person_id = p.id "
    "and a.status = 'active'))"
)
"""Archived here and active in another school, which manages their data now."""
_LINKED = "exists (select from link l where l.district_id = p.district_id and l.person_id = p.id)"
_MARKS = {
    "excluded": "p.excluded",
    "locked": "cardinality(p.locked_fields) > 0",
    "no_email": "p.email is null",
    "conflict": "p.id = any(:in_conflict)",
}
_SOURCES = {"sis": _LINKED, "hand": f"not {_LINKED}"}
_ROWS = """
with page as materialized (
    select p.id from person p where p.district_id = :district {conditions}
    order by p.family_name, p.given_name, p.id limit :limit offset :offset
)
select p.id, p.given_name, p.family_name, p.email, p.number, p.username, p.excluded, p.locked_fields,
       {linked} as linked, {moved_on} as moved_on
from page join person p on p.district_id = :district and p.id = page.id
order by p.family_name, p.given_name, p.id
"""
_MEMBERSHIPS = """
select m.person_id, s.key as school, s.name as school_name, m.role, m.grade, m.status, m.archived_by, m.managed
from membership m join school s on s.id = m.school_id
where m.district_id = :district and m.person_id = any(:persons)
  and (cast(:schools as bigint[]) is null or s.id = any(:schools))
order by m.status, s.name
"""
IN_CONFLICT = f"""
select distinct r.person_id from {NEWEST_OF_SCHOOLS}
join plan_row r on r.plan_id = newest.id and r.action = 'conflict'
where {IN_SCOPE} and r.person_id is not null
"""  # noqa: S608 - our own text


@dataclass(frozen=True)
class PeopleFilter:
    """Which people of a district, or of some schools (None: of all). status: `active`, `archived` (not active in the
    scope), or both (empty). everything: the reader may see the data of people who moved to another school; else their
    names."""

    district_id: int
    schools: tuple[int, ...] | None = None
    words: str = ""
    role: str = ""
    grade: str = ""
    status: str = ""
    source: Source = ""
    mark: Mark = ""
    everything: bool = True

    @property
    def scope(self) -> dict[str, Any]:
        """The district and the schools, as values of a query."""
        return {"district": self.district_id, "schools": None if self.schools is None else list(self.schools)}

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Conditions on `person p`, and their values."""
        given = self.scope
        somewhere = self.schools is not None or self.role or self.grade or self.status
        conditions = [f"exists ({self._membership(given)})"] if somewhere else []
        if self.status == "archived":
            active = self._scope("a") + " and a.status = 'active'"
            conditions.append(f"not exists (select from membership a where {active})")
        if self.source:
            conditions.append(_SOURCES[self.source])
        if self.mark:
            conditions.append(_MARKS[self.mark])
        for place, word in enumerate(self.words.replace("\0", "").split()[:MOST_WORDS]):
            found = f"(position(:word{place} in {_FULL}) > 0 {_ELSEWHERE.format(place=place, contact=_CONTACT)})"
            if not self.everything:
                found = f"case when {_MOVED_ON} then position(:word{place} in {_NAMES}) > 0 else {found} end"
            conditions.append(found)
            given |= {f"word{place}": fold(word), f"record{place}": word.lower(), f"number{place}": number_in(word)}
        return "".join(f" and {each}" for each in conditions), given

    def _scope(self, alias: str) -> str:
        here = "" if self.schools is None else f" and {alias}.school_id = any(:schools)"
        return f"{alias}.district_id = p.district_id and {alias}.person_id = p.id{here}"

    def _membership(self, given: dict[str, Any]) -> str:
        conditions = [self._scope("m")]
        for name in ("role", "grade", "status"):
            if getattr(self, name):
                conditions.append(f"m.{name} = :{name}")
                given[name] = getattr(self, name)
        return f"select from membership m where {' and '.join(conditions)}"


def people(conn: Connection, wanted: PeopleFilter, *, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """One page, by family name, then given name. moved_on: archived here, active elsewhere, and the reader may see only
    the name."""
    conditions, given = wanted.sql()
    conflicts = in_conflict(conn, wanted)
    hidden = "false" if wanted.everything or wanted.schools is None else _MOVED_ON
    query = _ROWS.format(linked=_LINKED, moved_on=hidden, conditions=conditions)
    found = conn.execute(
        text(query), given | {"limit": limit, "offset": offset, "in_conflict": list(conflicts)}
    ).mappings()
    rows = [dict(row) for row in found]
    belong: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
    for row in conn.execute(text(_MEMBERSHIPS), wanted.scope | {"persons": list(belong)}).mappings():
        belong[row["person_id"]].append(dict(row))
    for person in rows:
        person |= {
            "name": full_name(person),
            "in_conflict": person["id"] in conflicts,
            "memberships": belong[person["id"]],
        }
        if person["moved_on"]:
            person |= {"email": None, "number": None, "username": None}
    return rows


def ids(conn: Connection, wanted: PeopleFilter, *, limit: int | None = None) -> list[int]:
    """The numbers of all people that fit the filter, or of the first ones."""
    conditions, given = wanted.sql()
    conflicts = list(in_conflict(conn, wanted)) if wanted.mark == "conflict" else []
    query = f"select p.id from person p where p.district_id = :district {conditions} order by p.id limit :limit"  # noqa: S608
    return list(conn.scalars(text(query), given | {"in_conflict": conflicts, "limit": limit}))


def count(conn: Connection, wanted: PeopleFilter) -> int:
    """How many people the filter chooses."""
    conditions, given = wanted.sql()
    conflicts = list(in_conflict(conn, wanted)) if wanted.mark == "conflict" else []
    query = f"select count(*) from person p where p.district_id = :district {conditions}"  # noqa: S608
    return int(conn.scalar(text(query), given | {"in_conflict": conflicts}) or 0)


def in_conflict(conn: Connection, wanted: PeopleFilter) -> frozenset[int]:
    """The people who are in conflict in the newest plan of a school in the scope."""
    return frozenset(conn.scalars(text(IN_CONFLICT), wanted.scope).all())


def grades(conn: Connection, wanted: PeopleFilter) -> list[str]:
    """The grades in the scope. A page offers them as a choice."""
    query = (
        "select distinct grade from membership where district_id = :district and grade is not null "
        "and (cast(:schools as bigint[]) is null or school_id = any(:schools)) order by grade"
    )
    return list(conn.scalars(text(query), wanted.scope))


def active_by_role(conn: Connection, wanted: PeopleFilter) -> dict[str, int]:
    """For each role group, the number of people who have an active membership with it in the scope."""
    query = (
        "select m.role, count(distinct m.person_id) from membership m where m.district_id = :district "
        "and m.status = 'active' and (cast(:schools as bigint[]) is null or m.school_id = any(:schools)) "
        "group by m.role"
    )
    return {str(role): int(rows) for role, rows in conn.execute(text(query), wanted.scope)}
