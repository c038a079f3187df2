"""The supported SISs on the command line, and what a new connection starts from."""

from __future__ import annotations

from roster_pipeline_tests.cli.conftest import Roster


def test_every_known_sis_is_listed_and_can_be_shown(roster: Roster) -> None:
    assert {"aeries", "powerschool", "other"} <= {one["name"] for one in roster("sis", "list", "--json").data}
    assert "Client Secret" in roster("sis", "show", "aeries").out
    assert roster("sis", "show", "nonesuch").code == 2


def test_what_a_sis_delivers_and_exports_is_shown(roster: Roster) -> None:
    shown = " ".join(roster("sis", "show", "webuntis").out.split())
    assert "The directorate comes as aide" in shown
    assert "OneRoster v1.1 Configuration" in " ".join(roster("sis", "show", "aeries").out.split())
    offers = roster("sis", "show", "ed-fi", "--json").data["offers"]
    assert {one["subject"]: one["given"] for one in offers} == {"staff": True, "guardians": False, "delta": False}


def test_a_new_connection_starts_from_what_is_known_of_its_sis(roster: Roster) -> None:
    roster("district", "add", "springfield", "--name", "Springfield")
    new = ("connection", "add", "sis", "--district", "springfield", "--client-id", "a", "--client-secret-env", "S")
    assert roster(*new, "--sis", "nonesuch", "--url", "https://sis.example.org").code == 2
    assert roster(*new, "--sis", "classlink", "--url", "https://sis.example.org").code == 0
    assert roster("connection", "show", "sis", "--json").data["settings"]["sign_in"] == "oauth1"
