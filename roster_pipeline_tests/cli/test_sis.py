"""The supported SISs on the command line, and what a new connection starts from."""

from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline_tests.cli.conftest import SECRET, Roster


def test_every_known_sis_is_listed_and_can_be_shown(roster: Roster) -> None:
    assert {"aeries", "powerschool", "other"} <= {one["name"] for one in roster("sis", "list", "--json").data}
    assert "Client Secret" in roster("sis", "show", "aeries").out
    assert roster("sis", "show", "nonesuch").code == 2
    shown = roster("sis", "show", "other").out
    assert "known quirks" in shown
    assert "not publicly known" in shown
    assert "known quirks" in roster("sis", "--help").out


def test_what_a_sis_delivers_and_exports_is_shown(roster: Roster) -> None:
    assert "The directorate comes as aide" in " ".join(roster("sis", "show", "webuntis").out.split())
    assert "OneRoster v1.1 Configuration" in " ".join(roster("sis", "show", "aeries").out.split())
    offers = roster("sis", "show", "ed-fi", "--json").data["offers"]
    assert {one["subject"]: one["given"] for one in offers} == {"staff": True, "guardians": False, "delta": False}


def test_a_new_connection_starts_from_what_is_known_of_its_sis(roster: Roster) -> None:
    roster("district", "add", "springfield", "--name", "Springfield")
    new = ("connection", "add", "sis", "--district", "springfield", "--client-id", "a", "--client-secret-env", "S")
    assert roster(*new, "--sis", "nonesuch", "--url", "https://sis.example.org").code == 2
    assert roster(*new, "--sis", "classlink", "--url", "https://sis.example.org").code == 0
    assert roster("connection", "show", "sis", "--json").data["settings"]["sign_in"] == "oauth1"


def test_the_schools_of_a_sis_are_listed_with_their_people(school: Roster) -> None:
    people = generate_district(3, schools=2, students_per_school=10)
    with running(create_site([Sis(people, credentials={"client": SECRET})])) as base_url:
        given = ("--url", base_url, "--client-id", "client", "--allow-private-addresses", "--client-secret", "-")
        assert school("connection", "set", "sis", *given, stdin=f"{SECRET}\n").code == 0
        listed = school("connection", "schools", "sis", "--json").data
        assert {one["id"] for one in listed} == {"sch-1", "sch-2"}
        assert listed[0]["people"]["student"] == len(people.people_of(listed[0]["id"], "student"))
        assert listed[0]["name"] in school("connection", "schools", "sis").out
        assert school("connection", "set", "sis", "--client-secret", "-", stdin="wrong\n").code == 0
        refused = school("connection", "schools", "sis")
    assert refused.code == 1
    assert "Client ID and Client Secret" in refused.err
