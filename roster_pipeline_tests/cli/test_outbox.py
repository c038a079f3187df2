"""`roster outbox` shows mails that were given up, and tries them again."""

from __future__ import annotations

from roster_pipeline.directory import outbox
from roster_pipeline.directory.database import Database
from roster_pipeline.notifications.mail import Mail
from roster_pipeline_tests.cli.conftest import Roster


def test_a_dead_letter_is_shown_and_tried_again(school: Roster, database: Database) -> None:
    with database.begin() as conn:
        mail = Mail("Oak: no changes", "body", "body")
        outbox.put(conn, message_id="<m>", kind="report", school_id=1, recipients=["a@example.org"], mail=mail)
        outbox.failed(conn, 1, "The mail server refused the mail (550).", permanent=True)
    (shown,) = school("outbox", "list", "--dead", "--json").data
    assert (shown["state"], shown["school"], shown["error"]) == (
        "dead",
        "oak",
        "The mail server refused the mail (550).",
    )
    assert "body" not in school("outbox", "list", "--json").out
    assert "Oak: no changes" in school("outbox", "list").out
    assert school("outbox", "retry", 1).code == 0
    assert school("outbox", "list", "--dead", "--json").data == []
    refused = school("outbox", "retry", 1)
    assert refused.code == 1
    assert "was not given up" in refused.err
