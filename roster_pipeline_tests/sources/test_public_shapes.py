"""Bundles in the shapes of public sample data and of public exporters, with invented people.

A comment above each says how it differs from the standard. All people come in, with their contacts, and a second sync
changes nobody.
"""

from dataclasses import dataclass

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.sources.conftest import School, Source, manifest

BASE = "sourcedId,status,dateLastModified,enabledUser"
NAMES = "givenName,familyName,middleName,identifier,email,sms,phone"
STANDARD = f"{BASE},orgSourcedIds,role,username,userIds,{NAMES},agentSourcedIds,grades,password"
ORGS = "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId"
PLAIN_ORGS = f"{ORGS}\ns1,active,,Alder School,school,101,d1\nd1,active,,Wexbury District,district,,\n"
ROLES = "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId"


@dataclass(frozen=True)
class Shape:
    """files: as written; None for a missing file. people: sourcedIds of the active members.

    contacts: students with a contact. problems: of the proof. given: a given name that must be read right.
    """

    files: dict[str, str | None]
    people: frozenset[str]
    contacts: int = 0
    problems: tuple[str, ...] = ()
    given: str = "Mira"


def quoted(*cells: str) -> str:
    return ",".join(f'"{cell}"' for cell in cells)


GENERATED = Shape(
    # A generator of sample data: the header bare and every cell quoted, a bare number in userIds, no line break at the
    # end, roles as job titles only for those the standard knows.
    {
        "orgs.csv": "\n".join([ORGS, quoted("s1", "", "", "Alder School", "school", "101", "")]),
        "users.csv": "\n".join(
            [
                STANDARD,
                quoted("p1", "", "", "true", "s1", "student", "mi1", "4001", "Mira", "Oake", *[""] * 7, "09")[:-1]
                + '",""',
                quoted("p2", "", "", "true", "s1", "student", "dov2", "4002", "Dov", "Penn", *[""] * 7, "10", ""),
                quoted("t1", "", "", "true", "s1", "teacher", "ines", "7001", "Ines", "Quay", *[""] * 8, ""),
            ]
        ),
    },
    frozenset(("p1", "p2", "t1")),
)
SAMPLE = Shape(
    # A sample of an application: no manifest, the school before its district, a parent who names the children, grades
    # in quotes, a proctor.
    {
        "manifest.csv": None,
        "orgs.csv": PLAIN_ORGS,
        "users.csv": f"{STANDARD}\n"
        "t1,active,,true,s1,teacher,iquay,,Ines,Quay,,T1,ines@wexbury.example,,,,,\n"
        'p1,active,,true,s1,student,moake,,Mira,Oake,,4001,mira@pupils.example,,,,"09",\n'
        'p2,active,,true,s1,student,dpenn,,Dov,Penn,,4002,,,,,"09",\n'
        'g1,active,,true,s1,parent,hoake,,Hal,Oake,,,hal@home.example,,,"p1,p2",,\n'
        "x1,active,,true,s1,proctor,jdale,,Jon,Dale,,,jon@wexbury.example,,,,,\n",
    },
    frozenset(("t1", "p1", "p2", "x1")),
    contacts=2,
    problems=("no-manifest", "delta-without-whole"),
)
HONEST = Shape(
    # A test district: a comma in a given name, no numbers at all, no line break at the end, two orgs without a number.
    {
        "orgs.csv": f"{ORGS}\nd1,active,,Wexbury District,district,,\ns1,active,,Alder School,school,,d1",
        "users.csv": f"{STANDARD}\n"
        "u-t1,active,,true,s1,teacher,quay,,Ines,Quay,,,quay@wexbury.example,,,,,\n"
        'u-p1,active,,true,s1,student,moake,,"Mira, Jr.",Oake,,,,,,,03,\n'
        "u-p2,active,,true,s1,student,dpenn,,Dov,Penn,,,,,,,03,",
    },
    frozenset(("u-t1", "u-p1", "u-p2")),
    given="Mira, Jr.",
)
CONVERTED = Shape(
    # A converter from another format: JSON in userIds and grades, `agents` as a column, no identifier, no manifest line
    # for files that are not there.
    {
        "orgs.csv": PLAIN_ORGS,
        "users.csv": f"{BASE},orgSourcedIds,role,username,userIds,givenName,familyName,middleName,email,sms,phone,"
        "agents,grades,password\n"
        '66-1,active,2026-09-01T10:30:00Z,true,s1,student,mira.oake,"[{""type"":""sisId"",""identifier"":""4001""}]",'
        'Mira,Oake,,mira@wexbury.example,,,66-9,"[""10""]",\n'
        '66-2,active,2026-09-01T10:30:00Z,true,s1,teacher,ines.quay,"[{""type"":""sisId"",""identifier"":""7001""}]",'
        "Ines,Quay,,ines@wexbury.example,,,,,\n"
        "66-9,active,2026-09-01T10:30:00Z,true,,guardian,hal.oake,,Hal,Oake,,hal@home.example,,,,,\n",
    },
    frozenset(("66-1", "66-2")),
    contacts=1,
)
DOCUMENTED = Shape(
    # The example of a vendor's help page: no agents, a span of grades on a teacher, userIds without braces, a date with
    # a full second.
    {
        "orgs.csv": PLAIN_ORGS,
        "users.csv": f"{BASE},orgSourcedIds,role,username,userIds,{NAMES},grades,password\n"
        "user_1,active,2026-09-01T00:00:00Z,true,s1,student,mira.oake,local:4001,Mira,Oake,,4001,mira@w.example,,,06,\n"
        "user_2,active,2026-09-01T00:00:00Z,true,s1,teacher,ines.quay,local:7001,Ines,Quay,,7001,ines@w.example,,,K-12,\n",
    },
    frozenset(("user_1", "user_2")),
)
ALL_DELTA = Shape(
    # A package whose manifest calls everything a delta, files included that are not there; ids with colons; the org in
    # users.csv although there is a roles.csv with a column of its own.
    {
        "manifest.csv": manifest("1.2", orgs="delta", users="delta", roles="delta"),
        "orgs.csv": f"{ORGS}\ns1,active,2026-09-01T00:00:00.000Z,Alder School,school,101,\n",
        "users.csv": f"{BASE},username,userIds,{NAMES},agents,orgSourcedIds,grades\n"
        "a:person:1,active,2026-09-01T00:00:00.000Z,true,mira@w.example,S-1,Mira,Oake,,S-1,mira@w.example,,,,s1,\n"
        "a:person:2,active,2026-09-01T00:00:00.000Z,true,ines@w.example,,Ines,Quay,,,ines@w.example,,,,s1,\n",
        "roles.csv": f"{ROLES},userProfile\n"
        "a:role:1,active,2026-09-01T00:00:00.000Z,a:person:1,primary,student,,,s1,\n"
        "a:role:2,active,2026-09-01T00:00:00.000Z,a:person:2,primary,teacher,,,s1,\n",
    },
    frozenset(("a:person:1", "a:person:2")),
    problems=("delta-without-whole",),
)
JAPAN = Shape(
    # The Japanese profile: a byte order mark, CRLF, columns and grades of its own, empty status and date in bulk, names
    # in kanji.
    {
        "manifest.csv": "\ufeff" + manifest("1.2", roles="bulk", classes="bulk"),
        "orgs.csv": f"\ufeff{ORGS}\r\ns1,,,霞ヶ丘小学校,school,101,\r\n",
        "users.csv": f"\ufeff{BASE},username,userIds,{NAMES},agentSourcedIds,grades,password,userMasterIdentifier,"
        "preferredGivenName,preferredMiddleName,preferredFamilyName,primaryOrgSourcedId,pronouns,"
        "metadata.jp.kanaGivenName,metadata.jp.kanaFamilyName,metadata.jp.kanaMiddleName,metadata.jp.homeClass\r\n"
        "j1,,,true,j1,,未来,樫,,,,,,,P1,,9f1,,,,s1,,みらい,かし,,c1\r\n"
        "j2,,,true,j2,,伊根,岸,,,,,,,,,9f2,,,,s1,,いね,きし,,\r\n",
        "roles.csv": f"\ufeff{ROLES},userProfileSourcedId\r\n"
        "r1,,,j1,primary,student,2026-04-01,2199-03-31,s1,\r\nr2,,,j2,primary,teacher,2026-04-01,2199-03-31,s1,\r\n",
    },
    frozenset(("j1", "j2")),
    given="未来",
)
SCRIPTED = Shape(
    # A script for a spreadsheet program: a first line that names the separator, a misspelt column of agents, TRUE in
    # capitals, blanks after commas in lists.
    {
        "orgs.csv": PLAIN_ORGS,
        "users.csv": f"sep=,\n{STANDARD.replace('agentSourcedIds', 'agentSourceIds')}\n"
        'p1,active,,TRUE,"s1, d1",Student,mi1,{SIS:4001},Mira,Oake,,4001,mira@w.example,,,"g1, g2",9,\n'
        "t1,active,,TRUE,s1,Teacher,ines,,Ines,Quay,,7001,ines@w.example,,,,,\n"
        "g1,active,,FALSE,,Guardian,,,Hal,Oake,,,hal@home.example,,,,,\n",
    },
    frozenset(("p1", "t1")),
    contacts=1,
)
SHAPES = {
    "generated": GENERATED,
    "sample": SAMPLE,
    "honest": HONEST,
    "converted": CONVERTED,
    "documented": DOCUMENTED,
    "all-delta": ALL_DELTA,
    "japan": JAPAN,
    "scripted": SCRIPTED,
}


@pytest.mark.parametrize("name", SHAPES)
def test_everybody_of_a_public_shape_comes_in_and_stays(database: Database, bundle: Source, name: str) -> None:
    shape = SHAPES[name]
    bundle.files = shape.files
    school = School.begun(database, bundle)
    assert school.present == shape.people
    assert tuple(school.proof["problems"]) == shape.problems
    assert school.proof["rejected"] == 0
    assert len(school.rows("select 1 from contact")) == shape.contacts
    assert school.rows("select 1 from person where given_name = '" + shape.given + "'")
    assert set(school.sync().values()) == {"equal"}
    assert school.present == shape.people
