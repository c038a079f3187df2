"""The rendered mail: the same in both versions, valid HTML, and harmless with any value."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from roster_pipeline.notifications import content
from roster_pipeline.notifications.mail import Mail
from roster_pipeline.notifications.mail_page import render
from roster_pipeline.notifications.notice import digest_mail
from roster_pipeline_tests.notifications.examples import FAILED, FIRST, GOOD, HELD, QUIET

EXAMPLES = pytest.mark.parametrize("report", [GOOD, QUIET, HELD, FIRST, FAILED])
VOID = {"meta", "br", "img", "hr", "link"}


class Reader(HTMLParser):
    """Reads a mail as a client does: visible words, addresses, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"head", "style", "title"} & set(self.open):
            self.words += data.split()


def read(mail: Mail) -> Reader:
    reader = Reader(mail.html)
    assert reader.open == []
    return reader


@EXAMPLES
def test_text_and_html_say_the_same(report: content.SyncReport | content.FailureAlert) -> None:
    mail = render(report)
    html = " ".join(read(mail).words)
    text = re.sub(r"-{2,}(?=\n)|^-- $", "", mail.text, flags=re.M).replace(
        f": {report.run_url} (for engineers)", ", for engineers"
    )
    unpunctuated = re.compile(r"[:\s]+")
    assert unpunctuated.sub("", html).lower() == unpunctuated.sub("", text).lower()


@EXAMPLES
def test_the_link_to_the_run_is_in_both(report: content.SyncReport | content.FailureAlert) -> None:
    mail = render(report)
    assert read(mail).links == [report.run_url]
    assert mail.text.rstrip().endswith(f"Dagster run: {report.run_url} (for engineers)"), "for engineers, at the end"


@EXAMPLES
def test_a_mail_needs_nothing_from_elsewhere(report: content.SyncReport | content.FailureAlert) -> None:
    mail = render(report)
    assert read(mail).tags.isdisjoint({"script", "img", "link", "form", "iframe"})
    assert "url(" not in mail.html
    assert len(mail.html) < 100_000, "Gmail cuts longer mails"
    assert all(len(line) <= 100 for line in mail.text.splitlines())


def test_held_changes_say_why_and_how_to_approve() -> None:
    text = render(HELD).text
    assert "148 archivals of students\n148 of 1,216 students would be archived (12.2 %); at most 10 % pass." in text
    assert "    roster hold show lincoln-high\n    roster hold approve lincoln-high --plan 17 --reason" in text
    assert "The rest cannot be approved. Correct the cause, then sync again." in " ".join(text.split())


def test_what_cannot_be_approved_offers_no_approval() -> None:
    incomplete = (content.Finding("incomplete", "Page 7 of 14 never came.", overridable=False),)
    held = (content.Held("teacher", "archive", 2, incomplete), content.Held("student", "archive", 3, incomplete))
    text = render(replace(QUIET, held=held)).text
    assert "This cannot be approved" in text
    assert "roster hold approve" not in text


def test_a_problem_that_holds_nobody_is_named_once_and_not_as_held() -> None:
    wrong = (content.Finding("empty_role", "No teacher came, the directory has 84."),)
    held = (content.Held("teacher", "archive", 0, wrong), content.Held("student", "create", 0, wrong))
    text = render(replace(QUIET, held=held)).text
    assert text.count("No teacher came, the directory has 84.") == 1
    assert "There is nothing to approve." in text
    assert "Held" not in text
    assert "held" not in text.lower().replace("held high", "")


def test_a_guard_that_holds_a_whole_school_is_explained_once() -> None:
    text = render(FIRST).text
    assert "84 creations of teachers and 1,218 creations of students" in text
    assert text.count("This is the first sync of the school.") == 1


def test_switches_that_are_off_say_what_they_keep_from_happening() -> None:
    left = (
        content.LeftAlone("student", 12, "archive_off"),
        content.LeftAlone("teacher", 1, "auto_update_off"),
        content.LeftAlone("staff", 2, "role_off"),
        content.LeftAlone("admin", 0, "archive_off"),
        content.LeftAlone("student", 3, "several_matches"),
    )
    text = render(replace(QUIET, left_alone=left)).text
    assert "12 students would be archived: Archive is off." in text
    assert "1 teacher would be updated: Auto update is off." in text
    assert "2 staff not touched: the role they have in the SIS is not rostered." in text
    assert "3 students: several matches" in text
    assert "admin" not in text


def test_times_are_on_the_schools_own_clock() -> None:
    assert "Tue 3 Nov 2026, 20:04 CST" in render(GOOD).text
    assert "Wed 4 Nov 2026, 03:04 CET" in render(replace(GOOD, time_zone="Europe/Berlin")).text


def test_a_failure_after_the_commit_does_not_claim_that_nothing_changed() -> None:
    assert "Nothing in the directory was changed." in render(replace(FAILED, directory_unchanged=True)).text
    assert "Nothing in the" not in render(FAILED).text


CONSOLE = "https://roster.example.org/"


def test_where_there_is_a_console_the_mail_links_to_what_is_to_be_decided() -> None:
    school = "https://roster.example.org/schools/lincoln-high"
    mail = render(replace(HELD, console_url=CONSOLE))
    assert read(mail).links == [f"{school}/holds", f"{school}/syncs/{HELD.sync_id}", HELD.run_url]
    assert f"Look and decide: {school}/holds\n" in mail.text
    assert mail.text.index("Look and decide") < mail.text.index("HELD"), "in the first lines"
    quiet = render(replace(QUIET, console_url=CONSOLE))
    assert read(quiet).links == [f"{school}/syncs/{QUIET.sync_id}", QUIET.run_url], "also if nothing has to be done"
    assert quiet.text.index("Unchanged") < quiet.text.index("/syncs/"), "no button at the top"
    assert read(render(replace(FAILED, console_url=CONSOLE))).links[:2] == [f"{school}/runs", school]
    refused = replace(FAILED, console_url=CONSOLE, sign_in=True)
    assert f"Test and settings: {school}/settings\n" in render(refused).text
    assert read(render(replace(HELD, console_url="javascript:alert(1)//"))).links == [HELD.run_url]


def test_a_mail_about_conflicts_alone_links_to_the_page_where_they_are_decided() -> None:
    alone = replace(QUIET, roles=(content.RoleCounts("student", conflicts=300, unchanged=918),), console_url=CONSOLE)
    assert read(render(alone)).links[0] == f"{CONSOLE}schools/lincoln-high/conflicts"
    assert read(render(replace(HELD, console_url=CONSOLE))).links[0].endswith("/holds"), "holds come first"


@EXAMPLES
def test_where_there_is_a_console_no_mail_to_an_owner_names_a_command(
    report: content.SyncReport | content.FailureAlert,
) -> None:
    mail = render(replace(report, console_url=CONSOLE))
    commands = r"roster (sync|hold|plan|school|test-connection)\b(?! failed)"
    assert not re.search(commands, mail.text + mail.html)
    assert re.search(commands, render(replace(report, console_url=CONSOLE), commands=True).text), "operators have them"


def test_what_nobody_can_approve_is_synced_again() -> None:
    incomplete = (content.Finding("incomplete", "Page 7 of 14 never came.", overridable=False),)
    mail = render(replace(QUIET, held=(content.Held("teacher", "archive", 2, incomplete),), console_url=CONSOLE))
    assert "Sync again: https://roster.example.org/schools/lincoln-high/runs" in mail.text
    assert "decide" not in mail.text


def test_rows_and_facts_that_are_all_zero_are_left_out() -> None:
    facts = content.ConnectionFacts("whole", pages=0, requests=0, seconds=0.01, complete=True, records=0)
    sizes = (content.RoleSize("admin", 0, 0), content.RoleSize("student", 3, 4))
    report = replace(
        GOOD,
        connection=facts,
        comparison=content.Comparison(GOOD.when, sizes),
        roles=(content.RoleCounts("student", created=2),),
    )
    text = render(report).text
    for zero in ("Pages", "Requests", "Seconds", "Records:", "Archived", "Updated", "Unchanged", "Admins"):
        assert zero not in text
    assert "Created" in text


def test_a_digest_links_to_the_run_of_every_school_and_to_what_is_held() -> None:
    mail = digest_mail([GOOD, HELD], GOOD.when, "UTC", CONSOLE)
    syncs = [f"https://roster.example.org/schools/lincoln-high/syncs/{one.sync_id}" for one in (HELD, GOOD)]
    assert read(mail).links == ["https://roster.example.org/holds", *syncs]
    assert "roster hold list" not in mail.text
    typed = digest_mail([GOOD, HELD], GOOD.when, "UTC").text
    assert "roster hold list" in typed
    assert "roster school set lincoln-high --report-when daily" in " ".join(typed.split())
    incomplete = replace(
        HELD, held=(content.Held("teacher", "archive", 2, (content.Finding("incomplete", "Cut.", overridable=False),)),)
    )
    alone = digest_mail([incomplete], GOOD.when, "UTC", CONSOLE).text
    assert "Look at these schools: https://roster.example.org/?state=attention" in alone
    assert "decide" not in alone, "where nobody can"
    assert mail.subject == "Roster digest: 1 school, 1 to look at"
    assert "could not be matched safely" in mail.text


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (
            content.RowDetails(1, "ids", attached=True),
            "1 row of the plan is attached as a CSV file, with ids in place of names.",
        ),
        (content.RowDetails(43, "masked", attached=True), "with initials in place of names."),
        (content.RowDetails(20_000, "ids", attached=False), "20,000 rows, too many for a mail"),
        (content.RowDetails(20_000, "ids", attached=False), "roster plan show lincoln-high --plan 17 --csv rows.csv"),
    ],
)
def test_a_mail_says_where_the_row_details_are(details: content.RowDetails, said: str) -> None:
    assert said in " ".join(render(replace(GOOD, details=details)).text.split())


POISON = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}{% raw %}\r\nBcc: x@evil.example\r\n\r\n"
    "\x00\x1b[31m\u202egnp.exe\u2066\ufeff\ud800 javascript:alert(1)"
)


@pytest.mark.parametrize("school", ["Lincoln", POISON])
def test_poisoned_values_do_no_harm(school: str) -> None:
    bad = replace(
        GOOD,
        school_name=school,
        school_key=POISON,
        run_url="javascript:alert(1)",
        roles=(content.RoleCounts(POISON, created=1),),
        held=(content.Held(POISON, "archive", 3, (content.Finding(POISON, POISON),)),),
        left_alone=(content.LeftAlone(POISON, 2, POISON, POISON),),
        checks=(content.QualityCheck(POISON, False, 2, 1),),
        rejected=(content.Rejected(POISON, POISON, POISON, 1),),
    )
    for report in (bad, replace(FAILED, school_name=school, step=POISON, message=POISON, remedy=POISON)):
        mail = render(report)
        reader = read(mail)
        assert reader.tags.isdisjoint({"script", "img"})
        assert "javascript:alert(1)" not in reader.links
        assert "\n" not in mail.subject
        assert "{{7*7}}" in "".join(mail.text.split()).lower()
        assert "evil.example" not in mail.text + mail.html + mail.subject
        for body in (mail.subject, mail.text, mail.html):
            body.encode()
            assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", body)


def test_an_address_in_a_message_from_afar_is_masked() -> None:
    mail = render(replace(FAILED, message="lincoln-high: no such user ada.lovelace@school.example (404)."))
    assert "lovelace" not in mail.subject + mail.text + mail.html
    assert "No such user [address] (404)." in mail.text
