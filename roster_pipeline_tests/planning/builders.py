"""Records, rosters and a directory in memory, for the tests of the core.

`Directory` replaces PostgreSQL: it makes the frames that planning reads, and applies a plan like the apply step, so
that one sync can follow another.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import date
from typing import Any

import pandas as pd

from roster_pipeline.cleaning.clean import Cleaned, CleaningContext, clean
from roster_pipeline.frames import column_of, frame_of, strings
from roster_pipeline.identity.directory_frames import MEMBERSHIP, DirectoryFrames, SnapshotFacts
from roster_pipeline.identity.match_keys import PERSON
from roster_pipeline.planning.guards import Verdict
from roster_pipeline.planning.plan import Plan, make_plan
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline.vocabulary import MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS

TODAY = date(2026, 3, 2)
HERE = "s1"
CONNECTION = 1
COMPLETE = SnapshotFacts(complete=True, mode="full", version="1.2")
SIS = ConnectionSettings(url="https://sis.example.org")
_PERSON = (*PERSON_FIELDS, "number_kind", "number_connection_id", "excluded", "locked_fields", "revision")
_MEMBER = (
    *MEMBERSHIP_FIELDS, *STUDENT_CONTACTS, "status", "archived_by", "managed", "absent_syncs", "revision", "years",
    "archived_days",
)  # fmt: skip
LINK = (
    "connection_id", "sourced_id", "person_id", "is_primary", "version", "confirmed", "primary_by_hand",
    "master_identifier",
)  # fmt: skip
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("enabled", "excluded", "managed"), "boolean"),
    **dict.fromkeys(("revision", "absent_syncs", "years", "archived_days", "number_connection_id"), "Int64"),
    "locked_fields": "object",
}
"""Types of the columns that are not texts."""
ON = RoleSettings(rostered=True, auto_update=True, archive=True)


def school(**wishes: Any) -> SchoolSettings:
    """A school that rosters and changes everybody, by default."""
    return SchoolSettings(
        **(
            {"school_id": HERE, "students": ON, "teachers": ON, "staff": ON, "admins": ON, "first_sync": "apply"}
            | wishes
        )
    )


def entry(role: str | None = "student", org: str | None = HERE, **dates: str) -> dict[str, Any]:
    """One role of a record."""
    return {
        "role": role,
        "roleType": "primary",
        "org": org,
        "beginDate": dates.get("begin"),
        "endDate": dates.get("end"),
    }


def user(sourced_id: str, role: str | None = "student", **members: Any) -> dict[str, Any]:
    """One normalised user record of this school, with its own name and number."""
    record: dict[str, Any] = {
        "sourcedId": sourced_id,
        "status": "active",
        "enabledUser": True,
        "givenName": f"Given{sourced_id}",
        "familyName": f"Family{sourced_id}",
        "identifier": f"N-{sourced_id}",
        "userIds": [],
        "roles": [entry(role)],
        "agents": [],
        "grades": [],
        "metadata": {},
    }
    return record | members


def cleaned(
    users: list[dict[str, Any]],
    settings: SchoolSettings | None = None,
    contacts: list[dict[str, Any]] | None = None,
    connection: ConnectionSettings = SIS,
    rejected_at_ingest: pd.DataFrame | None = None,
    stored: Mapping[str, Sequence[str]] | None = None,
) -> Cleaned:
    """The records, cleaned. stored: the contacts of each student in the directory."""
    pairs = [(student, one) for student, contacts in (stored or {}).items() for one in contacts]
    had = pd.DataFrame(pairs, columns=["student_id", "sourced_id"], dtype="str")
    context = CleaningContext(HERE, settings or school(), connection, TODAY, stored_contacts=had)
    return clean(frame_of(users), frame_of(contacts or []), context, rejected_at_ingest)


def tuples(frame: pd.DataFrame) -> list[Any]:
    """The rows as named tuples with values of any type; the stubs of pandas know only scalars."""
    return list(frame.itertuples())


def row_of(frame: pd.DataFrame, sourced_id: str) -> dict[str, Any]:
    """One line of a roster; missing is None."""
    (line,) = frame[frame["sourced_id"] == sourced_id].to_dict("records")
    return {str(name): None if value is pd.NA or value != value else value for name, value in line.items()}


def plan_to_judge(
    counts: Mapping[tuple[str, str], int], roles: tuple[str, ...], keyed: tuple[str, int] = ("", 0)
) -> Plan:
    """A plan with this many rows by role and action; other values do not matter. keyed: this many new e-mails of a
    role."""
    role, new_emails = keyed
    lines: list[tuple[str, str, dict[str, Any]]] = [(role, "update", {"email": [None, "x"]})] * new_emails
    lines += [(*row, {}) for row, count in counts.items() for _ in range(count)]
    told, actions, changes = zip(*lines, strict=True) if lines else ((), (), ())
    columns: dict[str, Any] = {"role": column_of(strings(told)), "action": column_of(strings(actions))}
    columns |= {"changes": pd.Series(changes, dtype="object"), "reason": "left", "witness": "gone", "person_id": pd.NA}
    return Plan(pd.DataFrame(columns), False, False, roles)


class Directory:
    """People, links, link exclusions, and the memberships of one school."""

    def __init__(self) -> None:
        self.people: dict[int, dict[str, Any]] = {}
        self.links: list[dict[str, Any]] = []
        self.exclusions: list[dict[str, Any]] = []
        self.link_records: list[dict[str, Any]] = []
        self.members: dict[int, dict[str, Any]] = {}
        self.others: list[dict[str, Any]] = []
        self.connections: list[tuple[int, bool, int | None]] = []
        self.affiliations: dict[tuple[int, int], int | None] = {}
        self._rosters: dict[str, pd.DataFrame] = {}
        """The rosters of earlier syncs, by records and settings: many tests plan the same records again."""

    def connection(self, connection: int, *, of_district: bool = False, rank: int | None = None) -> None:
        """Set the facts of a connection of the district; any other connection is a school's own."""
        self.connections = [each for each in self.connections if each[0] != connection]
        self.connections.append((connection, of_district, rank))

    def elsewhere(self, who: int, connection: int, since: int | None) -> int:
        """Somebody is in a school of another connection; `since` None: archived there."""
        self.affiliations[who, connection] = since
        return who

    def person(self, sourced_id: str | None = None, *, number: str | None = None, **fields: Any) -> int:
        """Somebody, linked if a sourcedId is given. Names and number are those of `user` by default."""
        who = len(self.people) + 1
        known = {"given_name": f"Given{sourced_id}", "family_name": f"Family{sourced_id}", "enabled": True}
        self.people[who] = {
            **dict.fromkeys(PERSON_FIELDS),
            **known,
            "number": number if number is not None else (f"N-{sourced_id}" if sourced_id else None),
            "number_kind": "student",
            "number_connection_id": CONNECTION,
            "excluded": False,
            "locked_fields": [],
            "revision": 1,
            **fields,
        }
        if sourced_id:
            self.link(who, sourced_id)
        return who

    def link(
        self,
        who: int,
        sourced_id: str,
        connection: int = CONNECTION,
        *,
        confirmed: bool = False,
        by_hand: bool = False,
        master: str | None = None,
    ) -> None:
        """Add a record of a person; the first is the primary record, unless another was chosen by hand."""
        theirs = [link for link in self.links if link["person_id"] == who]
        home = by_hand or not any(link["is_primary"] for link in theirs)
        for link in theirs if by_hand else []:
            link.update(is_primary=False, primary_by_hand=False)
        values = (connection, sourced_id, who, home, "1.2", confirmed, by_hand, master)
        self.links.append(dict(zip(LINK, values, strict=True)))

    def heard(self, who: int, sourced_id: str, **values: str | None) -> None:
        """What a record of a person said before."""
        self.link_records.append({"person_id": who, "sourced_id": sourced_id, "number_kind": "student", **values})

    def unlink(self, who: int, sourced_id: str) -> None:
        """Unlink a record from this person; another one becomes the primary record."""
        self.links = [each for each in self.links if (each["person_id"], each["sourced_id"]) != (who, sourced_id)]
        self.exclusions.append({"sourced_id": sourced_id, "person_id": who})
        theirs = [link for link in self.links if link["person_id"] == who]
        if theirs and not any(link["is_primary"] for link in theirs):
            theirs[0]["is_primary"] = True

    def member(self, who: int, role: str | None = "student", status: str = "active", **fields: Any) -> int:
        """Their membership of this school, managed by the sync by default."""
        self.members[who] = {
            **dict.fromkeys((*MEMBERSHIP_FIELDS, *STUDENT_CONTACTS)),
            "role": role,
            "source_role": role,
            "status": status,
            "archived_by": "sync" if status == "archived" else None,
            "managed": True,
            "absent_syncs": 0,
            "revision": 1,
            "years": 0,
            "archived_days": 30 if status == "archived" else None,
            **fields,
        }
        return who

    def member_elsewhere(self, who: int, role: str = "student", grade: str | None = None, **fields: Any) -> int:
        """Their membership of another school."""
        self.others.append({"person_id": who, "role": role, "grade": grade, "status": "active", "years": 0, **fields})
        return who

    def frames(self) -> DirectoryFrames:
        """The frames that planning reads."""
        active = {(who, CONNECTION): 100 for who, member in self.members.items() if member["status"] == "active"}
        affiliations = [(*at, since) for at, since in (active | self.affiliations).items()]
        return DirectoryFrames(
            connection_id=CONNECTION,
            people=_frame(self.people, _PERSON),
            links=pd.DataFrame(self.links, columns=list(LINK)),
            members=_frame(self.members, _MEMBER),
            exclusions=pd.DataFrame(self.exclusions, columns=["sourced_id", "person_id"]),
            link_records=_texts(self.link_records, "sourced_id", *PERSON).assign(
                person_id=[one["person_id"] for one in self.link_records]
            ),
            elsewhere=pd.DataFrame(self.others, columns=list(MEMBERSHIP)),
            connections=_numbers(self.connections, "connection_id", "of_district", "rank"),
            affiliations=_numbers(affiliations, "person_id", "connection_id", "since"),
        )

    def plan(
        self, users: list[dict[str, Any]], settings: SchoolSettings | None = None, snapshot: SnapshotFacts = COMPLETE
    ) -> Plan:
        """This sync's plan for these records."""
        settings = settings or school()
        given = repr((users, settings))
        if given not in self._rosters:
            self._rosters[given] = cleaned(users, settings).roster
        return make_plan(self._rosters[given], self.frames(), settings, snapshot)

    def apply(self, plan: Plan) -> None:
        """Apply the whole plan."""
        rows: list[dict[str, Any]] = plan.rows.to_dict("records")  # type: ignore[assignment]  # columns are texts
        for row in sorted(rows, key=lambda row: row["role"] != "contact"):
            if row["role"] == "contact":
                self.members[int(row["person_id"])].update({name: new for name, (_, new) in row["changes"].items()})
                continue
            if not pd.isna(row["absent_syncs"]):
                self.members[int(row["person_id"])]["absent_syncs"] = int(row["absent_syncs"])
            if row["action"] == "archive":
                gone = self.members[int(row["person_id"])]
                gone.update(status="archived", archived_by="sync", archived_days=0, revision=gone["revision"] + 1)
            elif row["action"] in ("create", "update", "restore"):
                self._write(row)

    def _write(self, row: dict[str, Any]) -> None:
        changes = dict(row["changes"])
        who = len(self.people) + 1 if pd.isna(row["person_id"]) else int(row["person_id"])
        person = self.people.setdefault(
            who,
            dict.fromkeys(PERSON_FIELDS)
            | {
                "number_kind": None,
                "number_connection_id": None,
                "excluded": False,
                "locked_fields": [],
                "revision": 0,
            },
        )
        for sourced_id in row["new_links"]:
            self.link(who, sourced_id)
        if "primary_record" in changes:
            _, to = changes.pop("primary_record")
            theirs = [link for link in self.links if link["person_id"] == who]
            by_hand = any(link["primary_by_hand"] and link["connection_id"] == CONNECTION for link in theirs)
            for link in theirs:
                link["is_primary"] = link["sourced_id"] == to and link["connection_id"] == CONNECTION
                link["primary_by_hand"] = link["is_primary"] and by_hand
        if "number" in changes:
            person.update(number_kind=row["number_kind"], number_connection_id=CONNECTION)
        if who not in self.members:
            self.member(who, source_role=None, role=None)
        member = self.members[who]
        for name, (before, after) in changes.items():
            held = person if name in PERSON_FIELDS else member
            assert _same(held[name], before), f"{name} was not as the plan said"
            held[name] = after
        member.update(status="active", archived_by=None, archived_days=None, managed=True)


_NAMING = {
    "given_name", "family_name", "preferred_given_name", "preferred_family_name", "givenName", "familyName",
    "preferredFirstName", "preferredLastName", "number", "identifier", "email", "username", "sourced_id", "sourcedId",
    "master_identifier", "userMasterIdentifier",
}  # fmt: skip
"""What people of two cases must not have in common."""


Case = tuple[Directory, list[dict[str, Any]]]
"""A directory and the records that come."""


def planned_together(
    cases: Iterable[Case], settings: SchoolSettings | None = None, snapshot: SnapshotFacts = COMPLETE
) -> list[list[dict[str, Any]]]:
    """The rows of each case, of one plan for all; missing is None. The SIS answers 404 for everybody who is absent.

    Every word of a name, key or id ends with a mark of its case, so no case has anything in common with another.
    """
    crowd, users, marks, first = Directory(), [], [], [0]
    for place, (directory, records) in enumerate(cases):
        mark = (f"q{chr(97 + place // 26)}{chr(97 + place % 26)}", str(1000 + place))
        marks.append(re.compile("|".join(mark)))
        crowd.people |= {first[-1] + who: _marked(person, mark) for who, person in directory.people.items()}
        crowd.members |= {first[-1] + who: member for who, member in directory.members.items()}
        for name in ("links", "exclusions", "others", "link_records"):
            rows = [each | {"person_id": first[-1] + each["person_id"]} for each in vars(directory)[name]]
            vars(crowd)[name].extend(_marked(each, mark) for each in rows)
        crowd.affiliations |= {(first[-1] + who, at): since for (who, at), since in directory.affiliations.items()}
        first.append(len(crowd.people))
        users += [_marked(record, mark) for record in records]
    plan = crowd.plan(users, settings, snapshot)
    planned = plan.witnessed({str(one): "gone" for ids in plan.absent["sourced_ids"] for one in ids}).rows
    told: list[list[dict[str, Any]]] = [[] for _ in marks]
    for row in planned.astype(object).where(planned.notna(), None).to_dict("records"):
        place = next(place for place, mark in enumerate(marks) if mark.search(str(row["sourced_ids"])))
        told[place].append({str(name): _unmarked(value, marks[place]) for name, value in row.items()})
        if row["person_id"] is not None:
            told[place][-1]["person_id"] = row["person_id"] - first[place]
    return told


def _marked(values: dict[str, Any], mark: tuple[str, str]) -> dict[str, Any]:
    def own(text: str) -> str:
        return re.sub(r"[^\W_]+([.-][^\W_]+)*", lambda word: word[0] + mark[word[0].isdecimal()], text)

    return {name: own(each) if name in _NAMING and isinstance(each, str) else each for name, each in values.items()}


def _unmarked(value: Any, mark: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {name: _unmarked(each, mark) for name, each in value.items()}
    if isinstance(value, list):
        return [_unmarked(each, mark) for each in value]
    return mark.sub("", value) if isinstance(value, str) else value


def _frame(rows: dict[int, dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    values = {name: [_own(row.get(name)) for row in rows.values()] for name in columns}
    typed = {
        name: pd.array(given, dtype=_TYPES[name]) if name in _TYPES else column_of(strings(given))
        for name, given in values.items()
    }
    return pd.DataFrame(typed, index=pd.Index(list(rows), dtype="int64"))


def _own(value: Any) -> Any:
    return deepcopy(value) if isinstance(value, (dict, list)) else value


def _texts(rows: list[dict[str, Any]], *columns: str) -> pd.DataFrame:
    return pd.DataFrame({name: column_of(strings([row.get(name) for row in rows])) for name in columns})


def _numbers(rows: list[Any], *columns: str) -> pd.DataFrame:
    values: list[Any] = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame({name: pd.array(each, "Int64") for name, each in zip(columns, values, strict=True)})


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (pd.isna(one) and pd.isna(other)))


def allows(verdict: Verdict, role: str, action: str, guard: str = "") -> bool:
    """Whether a verdict lets this kind of action of this role be applied. Without a verdict it may not."""
    lines = verdict.rows.set_index(["role", "action", "guard"])["verdict"].to_dict()
    return lines.get((role, action, guard)) == "pass"
