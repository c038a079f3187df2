"""The settings page over HTTP: every field is stored and shown again, errors are next to their field, and rules
hold."""

import os
from datetime import date, time
from html import escape
from typing import Any

import pytest

from roster_pipeline.cleaning.quality_suite import installed_suite
from roster_pipeline.directory import audit, secrets, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.school_changes import change_school
from roster_pipeline.settings import school
from roster_pipeline.settings.fields import SECTIONS
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, Browser
from roster_pipeline_tests.console.filling import changed, errors_in, fields_of
from roster_pipeline_tests.console.held_plans import words_of
from roster_pipeline_tests.directory.builders import add_school, one

SETTINGS = "/schools/lincoln/settings"
PAGE = f"{SETTINGS}/connection"
SYNCED, REPORT, SCHEDULE, GUARDS, QUALITY = (
    f"{SETTINGS}/{name}" for name in ("synced", "report", "schedule", "guards", "quality")
)
GREEN = [{"name": "Sign-in", "ok": True, "detail": "", "remedy": ""}]
RED = [{"name": "Sign-in", "ok": False, "detail": "", "remedy": ""}]


PAGES = (PAGE, SYNCED, REPORT, SCHEDULE, GUARDS, QUALITY)


def opened(browser: Browser, page: str = PAGE) -> dict[str, str]:
    answer = browser.get(page)
    assert answer.status_code == 200, answer.text
    return fields_of(answer.text, page)


def page_of(field: str) -> str:
    """The page of a section that has this field."""
    kind, _, name = field.partition("-")
    outer = name.partition("-")[0]
    section = next((one for one in SECTIONS if outer in one.names), SECTIONS[0])
    return PAGE if kind in ("connection", "secret") else f"{SETTINGS}/{section.key}"


def stored(database: Database) -> SchoolRow:
    return database.call(tenants.get_school, "lincoln")


def test_the_page_has_a_field_for_every_setting(operator: Browser) -> None:
    shown = "".join(operator.get(page).text for page in PAGES)
    for rule in installed_suite().rules:
        assert f'name="school-quality-{rule.name}-severity"' in shown
        assert rule.description in shown
    for name in school.ConnectionSettings.model_fields:
        assert f'name="connection-{name}"' in shown
    for name in school.SchoolSettings.model_fields:
        assert f'name="school-{name}' in shown
    assert 'type="time"' not in shown, "browsers write such a time in their own notation, such as 08:00 PM"
    assert "Automatic Rostering" in shown
    assert "Leave both off until you have checked the first syncs." in shown


def test_a_quality_rule_says_what_is_usual(owner: Browser) -> None:
    shown = words_of(owner.get(QUALITY).text)
    for rule in installed_suite().rules:
        assert f"{escape(rule.description, quote=True)} Usual: {rule.severity}, {100 * rule.mostly:g} %" in shown


def test_every_field_is_kept_and_shown_again(operator: Browser, database: Database) -> None:
    on = {f"school-{role}-{switch}": True for role in ("students", "admins") for switch in ("rostered", "archive")}
    wanted: dict[str, Any] = on | {
        "connection-sis": "powerschool",
        "connection-url": "https://sis.example.org/ims/oneroster/v1p1",
        "connection-client_id": "abc",
        "connection-token_url": "https://sis.example.org/token",
        "connection-sign_in": "oauth2",
        "connection-scopes": "a b",
        "connection-version": "1.1",
        "connection-page_size": "250",
        "connection-strategy": "whole",
        "connection-student_number_from": "sourcedId",
        "connection-staff_number_from": "metadata:number",
        "connection-primary_contact_from": "metadata:primary",
        "connection-contact_rules": "metadata:custody=joint, sole\r\n\r\nrole != relative",
        "connection-contact_relationship_from": "agents:relationship",
        "connection-contact_flags": "metadata:lives with\nagents:emergency",
        "connection-secret_expires": "2031-05-01",
        "connection-disabled_means_gone": True,
        "connection-delta": True,
        "connection-allow_private_addresses": True,
        "school-school_id": "4711",
        "school-name": "Lincoln High",
        "school-primary_contacts": True,
        "school-contacts_most": "3",
        "school-preferred_names": True,
        "school-restore_archived_by_hand": True,
        "school-role_map": "ext:office = staff\next:coach=teacher\n",
        "school-report_to": "it@example.org\r\nOffice@Example.org, head@example.org",
        "school-report_when": "problems",
        "school-report_attachment": "ids",
        "school-sync_time": "18:30",
        "school-time_zone": "America/Chicago",
        "school-phone_region": "DE",
        "school-first_sync": "apply",
        "school-guards-archive_share": "12.5",
        "school-guards-archive_most": "40",
        "school-guards-windows-1-first": "2027-06-20",
        "school-guards-windows-1-last": "2027-08-10",
        "school-guards-windows-1-kind": "add_only",
        "school-quality-email_valid-severity": "error",
        "school-quality-grade_known-mostly": "80",
        "secret": "n3w-s3cret",
    }
    for page in PAGES:
        sent = {name: value for name, value in wanted.items() if page_of(name) == page}
        answer = operator.send_form(page, changed(opened(operator, page), **sent))
        assert answer.status_code == 303, errors_in(answer.text)
    found = stored(database)
    both = school.RoleSettings(rostered=True, archive=True)
    assert found.name == "Lincoln High"
    assert found.settings == school.SchoolSettings(
        school_id="4711",
        students=both,
        admins=both,
        primary_contacts=True,
        contacts_most=3,
        preferred_names=True,
        restore_archived_by_hand=True,
        role_map={"ext:office": "staff", "ext:coach": "teacher"},
        report_to=["it@example.org", "Office@example.org", "head@example.org"],
        report_when="problems",
        report_attachment="ids",
        sync_time=time(18, 30),
        time_zone="America/Chicago",
        phone_region="DE",
        first_sync="apply",
        guards=school.Guards(
            archive_share=0.125,
            archive_most=40,
            windows=[school.Window(first="2027-06-20", last="2027-08-10", kind="add_only")],
        ),
        quality={"email_valid": school.QualityRule(severity="error"), "grade_known": school.QualityRule(mostly=0.8)},
    )
    connection = found.connection.settings.model_dump(mode="json")
    assert connection.pop("contact_rules") == ["metadata:custody=joint,sole", "role!=relative"]
    assert connection.pop("contact_flags") == ["metadata:lives with", "agents:emergency"]
    for name, value in wanted.items():
        if name.removeprefix("connection-") in connection:
            kept = connection[name.removeprefix("connection-")]
            assert (kept if kept is True else str(kept)) == value
    assert secrets.unseal(found.connection.secret or "") == "n3w-s3cret"
    again = operator.get(PAGE)
    assert "Saved." in again.text
    assert "n3w-s3cret" not in again.text
    back = [opened(operator, page) for page in PAGES]
    together = {name: value for fields in back for name, value in fields.items()}
    assert together["school-guards-archive_share"] == "12.5"
    assert together["school-guards-windows-0-kind"] == "add_only"
    assert together["school-report_to"] == "it@example.org\nOffice@example.org\nhead@example.org"
    assert together["connection-contact_rules"] == "metadata:custody=joint,sole\nrole!=relative"
    for page, fields in zip(PAGES, back, strict=True):
        assert operator.send_form(page, fields).status_code == 303
    assert stored(database) == found, "what is shown is what is stored"
    what = [entry.what for entry in database.call(audit.search, school_id=found.id)]
    assert what == ["school changed"] * len(PAGES), "saving nothing is no change"


def test_boxes_that_are_not_ticked_switch_off(owner: Browser, database: Database) -> None:
    with_students = changed(opened(owner, SYNCED), school__students__rostered=True, school__primary_contacts=True)
    assert owner.send_form(SYNCED, with_students).status_code == 303
    assert stored(database).settings.students.rostered
    for page in (PAGE, REPORT, SCHEDULE, GUARDS, QUALITY):
        assert owner.send_form(page, opened(owner, page)).status_code == 303
    assert stored(database).settings.students.rostered, "a section changes nothing of the others"
    without = changed(opened(owner, SYNCED), school__students__rostered=False, school__primary_contacts=False)
    assert owner.send_form(SYNCED, without).status_code == 303
    found = stored(database).settings
    assert (found.students.rostered, found.primary_contacts) == (False, False)


WRONG: list[tuple[str, str, str]] = [
    ("connection-url", "sis.example.org", "Give the full address"),
    ("connection-url", "", "Give the full address"),
    ("connection-token_url", "ftp://x", "Give the full address"),
    ("connection-token_url", "https://me:pass@sis.example.org/token", "Remove user name and password"),
    ("connection-url", "https://[::1", "This is not a valid address."),
    ("connection-url", "https://sis.example.org:99999", "This is not a valid address."),
    ("connection-page_size", "many", "Write a whole number."),
    ("connection-page_size", "0", "Write 1 or more."),
    ("connection-page_size", "1000000", "Write 100,000 or less."),
    ("connection-sign_in", "magic", "Choose one of auto, oauth2, oauth1 or bearer."),
    ("connection-student_number_from", "shoe size", "Say where the number is"),
    ("connection-secret_expires", "soon", "Write a date"),
    ("connection-sis", "nowhere", "Choose one of the list."),
    ("school-school_id", "", "Fill this in."),
    ("school-school_id", "x" * 300, "Use 255 characters at most."),
    ("school-name", "Oak\u202eloohcS", "Write the name in one line"),
    ("school-report_to", "office@example.org\n" * 21 + "wrong\n" * 10_000, "Name at most 20"),
    ("school-name", " ", "Write a name"),
    ("school-report_to", "it@example.org\nnobody", "Line 2: This is not an e-mail address."),
    ("school-report_when", "sometimes", "Choose one of every, problems or daily."),
    ("school-sync_time", "late", "Write a time, such as 20:00."),
    ("school-time_zone", "Mars/Olympus", "Mars/Olympus is not a time zone"),
    ("school-phone_region", "usa", "Write the two letters of a country"),
    ("school-role_map", "ext:coach = boss", "ext:coach: choose one of student, teacher"),
    ("school-role_map", "ext:coach", "ext:coach: choose one of student, teacher"),
    ("school-guards-archive_share", "150", "Write a percentage from 0 to 100."),
    ("school-guards-archive_share", "", "Write a percentage from 0 to 100."),
    ("school-guards-archive_share", "nan", "Write a percentage from 0 to 100."),
    ("school-guards-archive_most", "-1", "Write 0 or more."),
    ("school-guards-grace_syncs", "61", "Write 60 or less."),
    ("school-guards-windows-1-first", "2027-06-20", "Write a date"),
    ("school-quality-email_valid-mostly", "x", "Write a percentage from 0 to 100."),
]


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_saved(operator: Browser, database: Database) -> None:
    before = stored(database)
    for field, value, message in WRONG:
        page = page_of(field)
        connects = page == PAGE
        typed = {"secret": "typed-and-gone"} if connects else {}
        also = "connection-delta" if connects else "school-primary_contacts"
        answer = operator.send_form(page, opened(operator, page) | typed | {also: "on", field: value})
        assert answer.status_code == 400, field
        place = field.replace("1-first", "1-last") if "windows" in field else field
        found = errors_in(answer.text)
        assert set(found) == {place, *typed}
        if connects:
            assert found["secret"].startswith("Type it again"), "who sees the form again knows that the secret is gone"
        assert found[place].startswith(message), found
        assert f'{place}-error"' in answer.text.replace(f'id="{place}-error"', ""), "the field says what describes it"
        assert f'href="#{place}"' in answer.text
        kept = fields_of(answer.text, page)
        assert also not in opened(operator, page)
        assert kept.get(also, "on") == "on", "what was entered is kept"
        if field not in ("connection-sis", "connection-sign_in", "school-report_when"):
            assert kept[field].strip() == value.strip()
        assert "typed-and-gone" not in answer.text
    row = "school__guards__windows__0__"
    turned = changed(opened(operator, GUARDS), **{f"{row}first": "2027-08-10", f"{row}last": "2027-06-20"})
    assert errors_in(operator.send_form(GUARDS, turned).text) == {
        "school-guards-windows-0-last": "The window ends before it begins."
    }
    assert stored(database) == before


def test_an_empty_secret_keeps_the_stored_one_and_none_is_ever_shown(owner: Browser, database: Database) -> None:
    assert owner.send_form(PAGE, changed(opened(owner), secret="p0ison-secret")).status_code == 303
    assert owner.send_form(PAGE, changed(opened(owner), connection__client_id="other")).status_code == 303
    found = stored(database).connection
    assert found.settings.client_id == "other"
    assert secrets.unseal(found.secret or "") == "p0ison-secret"
    shown = owner.get(PAGE).text
    assert 'placeholder="stored"' in shown
    assert "p0ison" not in shown
    assert (found.secret or "") not in shown


def test_a_console_that_still_has_a_replaced_key_stores_no_secret(
    owner: Browser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old, new = stored(database), os.environ[secrets.SECRET_KEY], secrets.new_key()
    database.call(secrets.rotate, old, new, who="Ada")
    for path in (PAGE, "/schools/lincoln/test"):
        refused = errors_in(owner.send_form(path, changed(opened(owner), secret="p0ison")).text)["secret"]
        assert "An operator has to restart it" in refused
    assert stored(database) == before
    monkeypatch.setenv(secrets.SECRET_KEY, new)
    assert owner.send_form(PAGE, changed(opened(owner), secret="p0ison")).status_code == 303


def test_a_stored_secret_is_not_sent_to_a_server_it_was_not_typed_for(owner: Browser, database: Database) -> None:
    for field, value in (
        ("connection-url", "https://elsewhere.example/ims"),
        ("connection-token_url", "https://tokens.example/token"),
        ("connection-ca_bundle", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"),
    ):
        before, sent = stored(database), {**opened(owner), field: value}
        for path in (PAGE, "/schools/lincoln/test"):
            answer = owner.send_form(path, sent)
            assert answer.status_code == 400
            assert "type the Client Secret again" in errors_in(answer.text)["secret"]
        read = owner.send_form(PAGE, sent | {"secret": "env:ROSTER_SECRET_KEY"})
        assert "command line" in errors_in(read.text)["secret"], "a form cannot read the environment of the server"
        assert stored(database) == before
        assert owner.send_form(PAGE, sent | {"secret": "for-the-new-one"}).status_code == 303


def test_only_an_operator_opens_the_private_network_and_files(
    owner: Browser, operator: Browser, database: Database
) -> None:
    assert 'name="connection-allow_private_addresses"' not in owner.get(PAGE).text
    sent = changed(opened(owner), connection__allow_private_addresses=True, connection__page_size="7")
    assert owner.send_form(PAGE, sent).status_code == 303
    assert not stored(database).connection.settings.allow_private_addresses
    for field, value in (("connection-url", "file:///etc"), ("connection-ca_bundle", "/etc/passwd")):
        refused = owner.send_form(PAGE, opened(owner) | {field: value, "secret": "x"})
        assert set(errors_in(refused.text)) == {field, "secret"}
    assert operator.send_form(PAGE, changed(opened(operator), connection__allow_private_addresses=True)).is_redirect
    assert owner.send_form(PAGE, changed(opened(owner), connection__page_size="8")).is_redirect
    assert stored(database).connection.settings.allow_private_addresses, "the permission is for this server"
    elsewhere = changed(opened(owner), connection__url="https://127.0.0.1:9999/ims", secret="x")
    assert owner.send_form(PAGE, elsewhere).is_redirect
    assert not stored(database).connection.settings.allow_private_addresses, "and ends with another address"


def test_a_shared_connection_is_changed_only_by_who_sees_all_its_schools(
    owner: Browser, manager: Browser, database: Database
) -> None:
    database.call(add_school, "roosevelt")
    shown = owner.get(PAGE).text
    assert "1 more" in shown
    assert "Roosevelt" not in shown
    assert "Only somebody who looks after all schools" in shown
    assert 'name="connection-url"' not in shown
    for page in (PAGE, SYNCED):
        sent = opened(owner, page) | {"connection-url": "https://evil.example", "secret": "x"}
        assert owner.send_form(page, sent | {"school-phone_region": "FR"}).is_redirect
    found = stored(database)
    assert found.settings.phone_region == "FR"
    assert found.connection.settings.url == "https://sis.example.org/ims/oneroster"
    assert "Roosevelt" in manager.get(PAGE).text
    assert manager.send_form(PAGE, changed(opened(manager), connection__client_id="abc")).is_redirect
    assert stored(database).connection.settings.client_id == "abc"


def test_a_connection_of_the_district_is_changed_by_its_managers_and_no_owner_makes_theirs_one(
    owner: Browser, manager: Browser, database: Database
) -> None:
    assert "connection-controlled_by" not in opened(owner)
    refused = owner.send_form(PAGE, opened(owner) | {"connection-controlled_by": "district"})
    assert (refused.status_code, "Only a manager of the district" in refused.text) == (400, True)
    assert stored(database).connection.settings.controlled_by == "school"
    theirs = opened(owner)
    assert manager.send_form(PAGE, changed(opened(manager), connection__controlled_by="district")).is_redirect
    assert stored(database).connection.settings.controlled_by == "district"
    shown = owner.get(PAGE).text
    assert "Only a manager of the district may change this connection" in shown
    assert 'name="connection-url"' not in shown
    for path in (PAGE, "/schools/lincoln/test"):
        refused = owner.send_form(path, opened(owner) | {"school-school_id": "org-other"})
        assert refused.status_code == 400, path
        owner.send_form(path, theirs | {"connection-url": "https://evil.example", "secret": "x"})
    found = stored(database)
    assert found.connection.settings.url == "https://sis.example.org/ims/oneroster"
    assert found.settings.school_id == "org-lincoln"
    assert manager.send_form(PAGE, changed(opened(manager), connection__client_id="abc")).is_redirect


def test_on_a_shared_connection_nobody_points_at_a_school_that_is_not_theirs(
    owner: Browser, manager: Browser, database: Database
) -> None:
    database.call(add_school, "roosevelt")
    assert "org-lincoln" in owner.get(PAGE).text
    assert "school-school_id" not in opened(owner)
    for path in (PAGE, "/schools/lincoln/test"):
        refused = owner.send_form(path, opened(owner) | {"school-school_id": "org-roosevelt"})
        assert refused.status_code == 400
        assert "Only somebody who looks after all schools" in refused.text
    assert stored(database).settings.school_id == "org-lincoln"
    assert one(database, "select count(*) from connection_test") == 0
    taken = manager.send_form(PAGE, changed(opened(manager), school__school_id="org-roosevelt"))
    assert "the School ID of Roosevelt" in errors_in(taken.text)["school-school_id"]
    assert manager.send_form(PAGE, changed(opened(manager), school__school_id="org-new")).is_redirect
    assert stored(database).settings.school_id == "org-new"


def test_the_second_of_two_people_at_once_sees_what_the_first_changed(
    owner: Browser, manager: Browser, database: Database
) -> None:
    seen = {page: opened(owner, page) for page in (PAGE, SYNCED, REPORT)}
    blind: dict[str, Any] = changed(seen[SYNCED], seen=None, school__phone_region="FR")
    assert owner.send_form(SYNCED, blind).status_code == 409, "a form that says nothing of its revision"
    for page, change in ((SYNCED, {"school-phone_region": "DE"}), (PAGE, {"connection-client_id": "theirs"})):
        assert manager.send_form(page, opened(manager, page) | change).is_redirect
    for page, change in ((SYNCED, {"school-phone_region": "FR"}), (PAGE, {"connection-client_id": "mine"})):
        answer = owner.send_form(page, seen[page] | change)
        assert answer.status_code == 409
        assert MANAGER in answer.text
        assert fields_of(answer.text, page)[next(iter(change))] == next(iter(change.values())), "entries are kept"
    found = stored(database)
    assert (found.connection.settings.client_id, found.settings.phone_region) == ("theirs", "DE")
    assert owner.send_form(REPORT, seen[REPORT] | {"school-report_to": OWNER}).is_redirect, "nobody changed it"
    assert stored(database).settings.phone_region == "DE", "and the others stay as they are now"
    assert owner.send_form(SYNCED, changed(opened(owner, SYNCED), school__phone_region="FR")).is_redirect


def test_automatic_rostering_needs_a_green_test_of_what_is_connected(owner: Browser, database: Database) -> None:
    on = changed(opened(owner, SCHEDULE), school__automatic=True)
    assert "needs a test first" in errors_in(owner.send_form(SCHEDULE, on).text)["school-automatic"]
    for items, message in ((RED, "does not work"), (GREEN, "")):
        with database.begin() as conn:
            tenant_changes.save_test(conn, tenants.get_school(conn, "lincoln"), items)
        answer = owner.send_form(SCHEDULE, on)
        if message:
            assert message in errors_in(answer.text)["school-automatic"]
        else:
            assert answer.is_redirect
    assert stored(database).settings.automatic
    message = owner.get(SCHEDULE).text
    assert "Saved. The school is synced every night." in message
    assert ("choose the roles under What is synced" in message) is not bool(stored(database).settings.rostered)
    for change in ({"connection-client_id": "x"}, {"school-school_id": "x"}, {"secret": "x"}):
        answer = owner.send_form(PAGE, opened(owner) | change)
        assert "changed since the last test" in errors_in(answer.text)["test"]
        assert 'href="#test"' in answer.text
    found = stored(database)
    assert (found.connection.settings.client_id, found.settings.school_id) == ("", "org-lincoln"), "all or nothing"
    assert owner.send_form(SCHEDULE, changed(opened(owner, SCHEDULE), school__automatic=False)).is_redirect
    assert owner.send_form(PAGE, changed(opened(owner), connection__client_id="x")).is_redirect
    assert "Older than the last change" in owner.get(PAGE).text


def test_a_script_that_switched_it_on_untested_is_shown_and_keeps_nobody_from_saving_other_things(
    owner: Browser, database: Database
) -> None:
    with database.begin() as conn:
        now = tenants.get_school(conn, "lincoln")
        done = change_school(
            conn, "lincoln", who="script", settings=now.settings.model_copy(update={"automatic": True})
        )
        assert done.untested == ["lincoln"]
    assert "Not tested" in owner.get(SCHEDULE).text
    assert owner.send_form(SYNCED, changed(opened(owner, SYNCED), school__phone_region="FR")).is_redirect
    answer = owner.send_form(PAGE, changed(opened(owner), connection__client_id="x"))
    assert "changed since the last test" in errors_in(answer.text)["test"] or "needs a test first" in answer.text


def test_the_end_of_a_secret_is_not_in_the_past(owner: Browser, database: Database) -> None:
    over = changed(opened(owner), connection__secret_expires="2019-05-01")
    for path in (PAGE, "/schools/lincoln/test"):
        answer = owner.send_form(path, over)
        assert answer.status_code == 400
        assert "Wed 1 May 2019 is in the past" in errors_in(answer.text)["connection-secret_expires"]
    stale = stored(database).connection.settings.model_copy(update={"secret_expires": date(2019, 5, 1)})
    database.call(tenant_changes.set_connection, "sis", settings=stale)
    other = changed(opened(owner), connection__client_id="x")
    assert owner.send_form(PAGE, other).is_redirect, "one that grew old keeps nobody from saving other things"


def test_hints_follow_the_chosen_sis_with_and_without_scripts(owner: Browser) -> None:
    piece = owner.get("/sis-hints?connection-sis=infinite-campus")
    assert "Infinite Campus" in piece.text
    assert "<html" not in piece.text
    assert owner.get("/sis-hints?connection-sis=%3Cb%3E").status_code == 200
    whole = owner.send_form("/schools/lincoln/hints", opened(owner) | {"connection-sis": "infinite-campus"})
    assert whole.status_code == 200
    assert "Where to find it in Infinite Campus" in whole.text
    assert fields_of(whole.text)["connection-sis"] == "infinite-campus"


def test_what_is_known_of_a_sis_is_taken_over_where_nobody_chose_otherwise(owner: Browser, database: Database) -> None:
    sent = changed(opened(owner), connection__sis="powerschool", connection__page_size="77")
    assert owner.send_form(PAGE, sent).is_redirect
    found = stored(database).connection.settings
    assert (found.sis, found.sign_in, found.page_size) == ("powerschool", "oauth2", 77)
