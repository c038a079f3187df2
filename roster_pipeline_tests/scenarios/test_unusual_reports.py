"""Reports to owners about special nights: relinked ids, a roster that looks wrong."""

from typing import Any

from sqlalchemy import text

from roster_pipeline.defs.resources import InstallationResource
from roster_pipeline.directory import held_plans, ledger
from roster_pipeline.services import decisions
from roster_pipeline.sync.outbox_sender import put_reports, send_due
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.mailbox import Mailbox, body_of

ON = {"rostered": True, "auto_update": True, "archive": True}
OFF = {"rostered": False}
SAME = ("given_name", "family_name", "email", "identifier", "username", "state_id", "grades", "roles")


def _only_students(**switches: bool) -> dict[str, Any]:
    return {"students": ON | switches, "teachers": OFF, "staff": OFF, "admins": OFF}


def test_ids_that_were_linked_are_in_the_ledger_and_in_a_mail(district: District, mailbox: Mailbox) -> None:
    key = district.add_school(report_to=["it@example.org"], **_only_students())
    district.run_sync()
    students = district.active()
    for person in district.people.people_of("sch-1", "student"):
        district.people.remove(person.sourced_id)
        known = {name: getattr(person, name) for name in SAME}
        district.people.add("student", "sch-1", sourced_id=f"new-{person.sourced_id}", agents=(), **known)
    district.run_sync()
    (held,) = district.database.call(held_plans.waiting)
    assert {finding["guard"] for kind in held.kinds for finding in kind["findings"]} >= {"rekeyed"}
    result = decisions.relink(district.database, key, held.plan_id, who="it", reason="the SIS was upgraded")
    assert result.counts == {"student": {"link": students}}
    assert put_reports(district.database) == 0, "the relink wrote its own, in its own transaction"
    send_due(district.database, InstallationResource().mailer())
    message, _ = mailbox.messages[-1]
    assert message["Subject"] == f"Lincoln: the ids of {students} people were linked"
    assert "roster sync lincoln" in body_of(message)
    assert "HELD" not in body_of(message)
    assert district.database.call(ledger.history, limit=1)[0].kind == "relink"
    assert district.run_sync()["archived"] == 0
    assert district.active() == students


def test_an_empty_role_is_reported_even_with_archive_off(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=["it@example.org"], report_when="problems", **_only_students(archive=False))
    district.run_sync()
    students = district.active()
    for person in district.people.people_of("sch-1", "student"):
        district.people.remove(person.sourced_id)
    district.run_sync()
    send_due(district.database, InstallationResource().mailer())
    message, _ = mailbox.messages[-1]
    assert "the roster looks wrong" in message["Subject"]
    said = " ".join(body_of(message).split())
    assert f"The directory has {students} students, and none came." in said
    assert "There is nothing to approve." in said
    assert "roster hold approve" not in said
    with district.database.begin() as conn:
        assert held_plans.waiting(conn) == []
        assert conn.scalar(text("select count(*) from membership where status = 'active'")) == students
