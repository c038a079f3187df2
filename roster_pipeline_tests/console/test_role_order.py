"""Roles have one order wherever people read them: on pages, in the table of a command, in a mail."""

from __future__ import annotations

import re

import pytest

from roster_pipeline.cli.output import print_report
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.sync.build_report import report_of
from roster_pipeline.vocabulary import ROLE_ORDER
from roster_pipeline_tests.console.conftest import Browser
from roster_pipeline_tests.console.held_plans import words_of
from roster_pipeline_tests.directory.builders import newcomer, one, sync_rows


def order_in(text: str, after: str = "") -> list[str]:
    """The role groups of a text, by where each is named first behind some words."""
    _, _, text = text.partition(after) if after else ("", "", text)
    places = {role: re.search(rf"\b{role}s?\b", text, flags=re.IGNORECASE) for role in ROLE_ORDER}
    return sorted(ROLE_ORDER, key=lambda role: places[role].start())  # type: ignore[union-attr]


def test_page_table_and_mail_have_one_order_of_roles(
    owner: Browser, database: Database, lincoln: SchoolRow, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = sorted(ROLE_ORDER)
    assert roles != list(ROLE_ORDER)
    rows = [newcomer(f"u-{role}", changes={"role": role}, role=role) for role in roles]
    result = sync_rows(database, lincoln, *rows)
    with database.begin() as conn:
        report = report_of(sync_summary(conn, result.sync_id))
    print_report(report)
    of_people = words_of(owner.get("/schools/lincoln/people").text)
    assert "1 active student " in of_people, "not students"
    places = [
        order_in(of_people, "Upload a list"),
        order_in(words_of(owner.get("/schools/lincoln").text), "At a glance"),
    ]
    plan = one(database, "select max(id) from plan")
    for path in (f"/schools/lincoln/syncs/{result.sync_id}", f"/schools/lincoln/plans/{plan}"):
        places.append(order_in("\n".join(re.findall(r'<th scope="row">([^<]+)</th>', owner.get(path).text))))
    places += [order_in(capsys.readouterr().out), order_in(render(report).text, "PEOPLE")]
    assert places == [list(ROLE_ORDER)] * len(places)
