"""One district three times: the truth, the model and the pipeline; and their comparison."""

from collections.abc import Iterable
from typing import Any

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.model import FIELDS, Model
from roster_pipeline_tests.invariants.person import Membership, Person
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sis_state import SisState, campus_of
from roster_pipeline_tests.invariants.sync_district import Place, Site

PEOPLE = """
select p.id, p.given_name as given, p.family_name as family, p.middle_name as middle, p.email, p.number,
       p.number_kind as kind, p.username, p.excluded,
       case when p.number_connection_id is not null then 'yes' end as sourced,
       (select array_agg(l.sourced_id order by l.sourced_id) from link l where l.person_id = p.id) as links,
       (select array_agg(l.sourced_id) from link l where l.person_id = p.id and l.is_primary) as primary_records,
       (select array_agg(a.sourced_id order by a.sourced_id) from link_exclusion a where a.person_id = p.id)
        as not_theirs,
       (select jsonb_object_agg(l.sourced_id, l.master_identifier) from link l
        where l.person_id = p.id and l.master_identifier is not null) as masters,
       (select jsonb_object_agg(s.key, jsonb_build_array(m.role, m.status, m.archived_by, m.absent_syncs, m.grade::int,
                                                  m.managed, m.source_grade))
        from membership m join school s on s.id = m.school_id where m.person_id = p.id) as members
from person p where p.district_id = :district order by p.id
"""

UNJUSTIFIED = """
select count(*) as found from change_log l
join sync y on y.id = l.sync_id
left join verdict v on v.plan_id = y.plan_id and v.role = l.after ->> 'role' and v.action = 'archive'
left join approval a on a.used_by = y.id and a.decision = 'approve'
where l.district_id = :district and l.entity = 'membership' and l.operation = 'update' and y.kind <> 'rollback'
  and l.before ->> 'status' = 'active' and l.after ->> 'status' = 'archived'
  and not coalesce(v.verdict = 'pass', false) and a.id is null
"""
"""Archivals by a sync with neither a stored pass nor an approval."""

LINKED_APART = (
    "select count(*) as found from link join link_exclusion using (connection_id, sourced_id, person_id) "
    "where link.district_id = :district"
)

Shown = dict[tuple[str, ...], dict[str, Any]]


def called(links: Iterable[str], number: int | None) -> tuple[str, ...]:
    """A person's links, or their number if they have none. The number was read before the last link was removed."""
    return tuple(sorted(links)) or (f"person {number}",)


class CheckedDistrict:
    """A district with its schools; `schools` are the keys, in the order of the SIS's orgs."""

    def __init__(self, database: Database, site: Site, place: int, rules: list[SchoolRules]) -> None:
        self.place = Place(database, site, place)
        self.sis = SisState(site.sises[place], tuple(rule.school_id for rule in rules))
        self.schools = [self.place.add(rule) for rule in rules]
        self.model = Model({rule.school_id: rule for rule in rules})
        self.ids = dict(zip(self.schools, self.sis.schools, strict=True))

    def pipeline(self) -> Shown:
        """The people in the database, by links."""
        return {
            called(row["links"] or (), row["id"]): {
                **{name: row[name] for name in (*FIELDS, "excluded")},
                "masters": row["masters"] or {},
                "primary": row["primary_records"],
                "not theirs": row["not_theirs"] or [],
                "members": {self.ids[key]: tuple(value) for key, value in (row["members"] or {}).items()},
            }
            for row in self.place.rows(PEOPLE)
        }

    def expected(self) -> Shown:
        """The people of the model, in the same form."""
        return {
            called(person.links, person.number): {
                **person.fields,
                "excluded": person.excluded,
                "masters": person.masters,
                "primary": [person.primary] if person.primary else None,
                "not theirs": sorted(person.not_theirs),
                "members": {
                    s: (m.role, m.status, m.by, m.absent, m.grade, m.managed, m.source_grade)
                    for s, m in person.members.items()
                },
            }
            for person in self.model.people
        }

    def adopt(self) -> None:
        """Set the model to the directory as it is, after a night whose faults cannot be predicted.

        People stay the same objects, because rows that wait for approval refer to them.
        """
        known = {name: person for person in self.model.people for name in called(person.links, person.number)}
        self.model.people = []
        for links, shown in self.pipeline().items():
            person = next((known[link] for link in links if link in known), None)
            person = person or Person({}, None, truth=self.sis.records[links[0]].truth)
            person.fields = {name: shown[name] for name in FIELDS}
            person.primary = shown["primary"][0] if shown["primary"] else None
            person.links = set(links) & self.sis.records.keys()
            person.not_theirs = set(shown["not theirs"])
            person.masters = dict(shown["masters"])
            before = person.members
            person.members = {school: Membership(*told) for school, told in shown["members"].items()}
            for school, member in person.members.items():
                was = before.get(school)
                member.lost = member.by == "sync" and (was is None or was.status == "active" or was.lost)
            person.excluded = shown["excluded"]
            self.model.people.append(person)
        self._check_people()

    def number_of(self, person: Person) -> int:
        """The directory's number of a person, which names them from then on, whatever their links."""
        if person.number is None:
            query = "select person_id from link where district_id = :district and sourced_id = :link"
            (found,) = self.place.rows(query, link=min(person.links))
            person.number = int(found["person_id"])
        return person.number

    def check(self) -> None:
        """Assert that the pipeline did the same as the model, and nothing that the truth forbids."""
        shown, expected = self.pipeline(), self.expected()
        for links in shown.keys() | expected.keys():
            assert shown.get(links) == expected.get(links), self._told(links, shown, expected)
        self.check_truth(shown)
        self._check_people()

    def _told(self, links: tuple[str, ...], shown: Shown, expected: Shown) -> str:
        said = self.place.rows(
            "select s.key, r.action, r.reason, r.role, r.sourced_ids, r.new_links, r.changes from plan_line r "
            "join plan p on p.id = r.plan_id join school s on s.id = p.school_id where p.district_id = :district "
            "and p.state = 'planned' and r.sourced_ids && cast(:links as text[])",
            links=list(links),
        )
        said += self.place.rows(
            "select s.key, v.role, v.action, v.findings from verdict v join plan p on p.id = v.plan_id "
            "join school s on s.id = p.school_id where p.district_id = :district and p.state = 'planned' "
            "and v.verdict = 'hold' and v.rows > 0"
        )
        records = [self.sis.records.get(link) for link in links]
        lines = [f"{links}:", f"model    {expected.get(links)}", f"pipeline {shown.get(links)}", *map(str, said)]
        return "\n".join([*lines, *map(str, records)])

    def check_truth(self, shown: Shown) -> None:
        """Assert that two people are never made one, that no record is linked to a person from whom it was unlinked,
        and that nobody was archived without a stored pass or an approval."""
        for links in shown:
            owners = [self.sis.owners[link] for link in links if link in self.sis.owners]
            assert not owners or set.intersection(*owners), f"{links} are one person and belonged to no one identity"
        assert self.place.rows(UNJUSTIFIED) == [{"found": 0}]
        assert self.place.rows(LINKED_APART) == [{"found": 0}]

    def _check_people(self) -> None:
        """Assert that nobody became somebody else: names and links are those of the identity for whom the person was
        made."""
        for person in self.model.people:
            assert person.truth is not None
            assert {person.fields["given"], person.fields["family"]} <= self.sis.names[person.truth], person
            assert all(person.truth in self.sis.owners[link] for link in person.links), person

    def doubted(self) -> list[str]:
        """The doubted links about which nobody has decided."""
        waiting = {link for state in self.model.schools.values() for link in state.doubted}
        return sorted(link for person in self.model.people for link in waiting & person.links - person.confirmed)

    def truly_here(self, school: str, links: tuple[str, ...]) -> bool:
        """Whether the SIS has somebody in this school today, by any of these records."""
        known = [self.sis.records[link] for link in links if link in self.sis.records]
        orgs = (school, campus_of(school))
        return any(record.gone is None and any(map(record.groups_in, orgs)) for record in known)
