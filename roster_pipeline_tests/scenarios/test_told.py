"""What owners are told of nights that are neither good nor plainly held: relinked ids, a roster that looks wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from roster_pipeline.defs.resources import InstallationResource
from roster_pipeline.directory import held_plans, ledger
from roster_pipeline.services import decisions
from roster_pipeline.sync.build_report import put_reports
from roster_pipeline.sync.outbox_sender import send_due
from roster_pipeline_tests.scenarios.conftest import Town
from roster_pipeline_tests.scenarios.mailbox import Mailbox, body_of, post_office

ON = {"rostered": True, "auto_update": True, "archive": True}
OFF = {"rostered": False}
SAME = ("given_name", "family_name", "email", "identifier", "username", "state_id", "grades", "roles")


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A real SMTP server."""
    with post_office(monkeypatch) as handler:
        yield handler


def _only_students(**switches: bool) -> dict[str, dict[str, bool]]:
    return {"students": ON | switches, "teachers": OFF, "staff": OFF, "admins": OFF}


def test_ids_that_were_linked_are_in_the_ledger_and_in_a_mail(town: Town, post: Mailbox) -> None:
    key = town.add_school(report_to=["it@example.org"], **_only_students())
    town.run_sync()
    students = town.active()
    for person in town.people.people_of("sch-1", "student"):
        town.people.remove(person.sourced_id)
        known = {name: getattr(person, name) for name in SAME}
        town.people.add("student", "sch-1", sourced_id=f"new-{person.sourced_id}", agents=(), **known)
    town.run_sync()
    with town.database.begin() as conn:
        (held,) = held_plans.waiting(conn)
    assert {finding["guard"] for kind in held.kinds for finding in kind["findings"]} >= {"rekeyed"}
    result = decisions.relink(town.database, key, held.plan_id, who="it", reason="the SIS was upgraded")
    assert result.counts == {"student": {"link": students}}
    assert put_reports(town.database) == 0, "the relink wrote its own, in its own transaction"
    send_due(town.database, InstallationResource().mailer())
    message, _ = post.messages[-1]
    assert message["Subject"] == f"Lincoln: the ids of {students} people were linked"
    assert "roster sync lincoln" in body_of(message)
    assert "HELD" not in body_of(message)
    with town.database.begin() as conn:
        assert ledger.history(conn, limit=1)[0].kind == "relink"
    assert town.run_sync()["archived"] == 0
    assert town.active() == students


def test_an_empty_role_is_told_though_archive_is_off_and_nobody_was_due(town: Town, post: Mailbox) -> None:
    town.add_school(report_to=["it@example.org"], report_when="problems", **_only_students(archive=False))
    town.run_sync()
    students = town.active()
    for person in town.people.people_of("sch-1", "student"):
        town.people.remove(person.sourced_id)
    town.run_sync()
    send_due(town.database, InstallationResource().mailer())
    message, _ = post.messages[-1]
    assert "the roster looks wrong" in message["Subject"]
    said = " ".join(body_of(message).split())
    assert f"The directory has {students} students, and none came." in said
    assert "There is nothing to approve." in said
    assert "roster hold approve" not in said
    with town.database.begin() as conn:
        assert held_plans.waiting(conn) == []
        assert conn.scalar(text("select count(*) from membership where status = 'active'")) == students
