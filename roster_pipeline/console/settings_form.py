"""The settings form of one school: its values, what a person sent, and who may change the connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.requests import Request

from roster_pipeline.console import forms
from roster_pipeline.console.forms import CONNECTION, SCHOOL, Errors, Values
from roster_pipeline.console.page import form
from roster_pipeline.console.session import viewer
from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.plans import findings_of_syncs
from roster_pipeline.directory.secrets import REFERENCE
from roster_pipeline.oneroster.presets import OTHER, Preset, UnknownPreset, preset, presets
from roster_pipeline.services.hold_explanations import MOST_PLANS, PastPlan, guard_lines
from roster_pipeline.services.save_settings import Wanted
from roster_pipeline.services.school_status import fields_named
from roster_pipeline.services.settings_changes import NOT_TESTED, ChangedMeanwhile, last_test
from roster_pipeline.settings import fields
from roster_pipeline.settings.school import (
    MOST_RECIPIENTS,
    TOO_MANY_RECIPIENTS,
    ConnectionSettings,
    SchoolSettings,
    display_name,
)
from roster_pipeline.sync.fetch_strategy import is_bundle
from roster_pipeline.vocabulary import Role

CONNECTION_SECTION = fields.SECTIONS[0]
NAME = "school-name"
REPORT_TO = "school-report_to"
SECRET_IS_LOST = "Type it again: a secret is never sent back with the page."  # noqa: S105
START_FIELDS = {"sis", "url", "token_url"}
"""The values that an owner enters first. The other values of a preset replace values that were not changed."""


@dataclass
class Form:
    """One state of a section's form. seen: revisions of school and connection when it was opened."""

    section: fields.Section
    school: tenants.SchoolRow
    sharing: list[tenants.SchoolRow]
    values: Values
    seen: str
    errors: Errors = field(default_factory=dict)
    test: connection_tests.ConnectionTest | None = None
    conflict: ChangedMeanwhile | None = None
    test_errors: Errors = field(default_factory=dict)

    @property
    def of_district(self) -> bool:
        """Whether the connection is the district's, so that owners of its schools may not change it."""
        return self.school.connection.settings.controlled_by == "district"

    @property
    def of_connection(self) -> bool:
        return self.section is CONNECTION_SECTION

    def may_connect(self, who: Account) -> bool:
        """Managers may change the connection; owners too, if it belongs to schools and all are theirs."""
        own = not self.of_district and all(who.may_see(row) for row in [self.school, *self.sharing])
        return own or who.may_manage(self.school.district_id)


def stored_form(conn: Connection, school: tenants.SchoolRow, section: fields.Section) -> Form:
    sharing = [row for row in tenants.schools_of(conn, school.connection.id) if row.id != school.id]
    values = (
        forms.shown(school.connection.settings, CONNECTION) | forms.shown(school.settings, SCHOOL) | {NAME: school.name}
    )
    return Form(section, school, sharing, values, f"{school.revision}.{school.connection.revision}")


def sent_form(request: Request, stored: Form) -> tuple[Form, Wanted | None]:
    """The form with the sent values, and the settings to save; None instead of the settings if the form has errors."""
    given, section, school = form(request), stored.section, stored.school
    connects = stored.of_connection and stored.may_connect(viewer(request))
    values = forms.sent(given, SCHOOL) | (forms.sent(given, CONNECTION) if connects else {})
    came = replace(stored, values=values, seen=str(given.get("seen", "")), errors={})
    errors = came.errors
    connection = _connection(came, school.connection.settings) if connects else None
    name = school.name
    if "name" in section.names:
        try:
            name = display_name(values.get(NAME, name).strip())
        except ValueError as problem:
            errors[NAME] = str(problem)
    settings: SchoolSettings | None = None
    try:
        plain = forms.plain_school(values, school.settings.model_dump(mode="json"), section.names)
        settings = SchoolSettings.model_validate(plain)
    except ValidationError as problem:
        errors |= forms.errors_of(problem, SCHOOL, values)
    if settings is not None and len(settings.report_to) > MOST_RECIPIENTS:
        errors[REPORT_TO] = TOO_MANY_RECIPIENTS
    if errors or settings is None:
        return came, None
    secret = str(given.get("secret", "")) if connects else ""
    test_id = str(given.get("test", "")) or None
    return came, Wanted(name, settings, connection, secret or None, test_id, section.names)


def _connection(came: Form, stored: ConnectionSettings) -> ConnectionSettings | None:
    before = stored.model_dump(mode="json")
    plain = forms.plain_connection(came.values, before)
    try:
        chosen = preset(plain["sis"])
    except UnknownPreset:
        came.errors[forms.name_of(CONNECTION, "sis")] = "Choose one of the list."
        return None
    if chosen.name != stored.sis:
        preset_values = {name: value for name, value in chosen.defaults().items() if name not in START_FIELDS}
        plain |= {name: value for name, value in preset_values.items() if str(plain[name]) == str(before[name])}
    try:
        return ConnectionSettings.model_validate(plain)
    except ValidationError as problem:
        came.errors.update(forms.errors_of(problem, CONNECTION, came.values))
        return None


def with_connection_test(conn: Connection, came: Form, who: str) -> Form:
    """The form with this person's newest test of exactly these connection values. So the test stays visible."""
    asked = _tested(came.values)
    for test in connection_tests.recent(conn, came.school.id):
        if test.who == who and _tested(test.form.get("values", {})) == asked:
            return replace(came, test=test)
    return came


def _tested(values: Values) -> Values:
    """The values of a form on which a test depends."""
    beside = {forms.name_of(CONNECTION, name) for name in NOT_TESTED}
    return {name: value for name, value in values.items() if name not in beside}


def typed_secret(request: Request) -> bool:
    """Whether the form brought a Client Secret. It is never sent back, so the next page must ask for it again."""
    return request.method == "POST" and bool(form(request).get("secret"))


def seen_of(came: Form) -> tuple[int, int]:
    """The revisions of school and connection when the form was opened; -1 if it does not say."""
    school, _, connection = came.seen.partition(".")
    return (_number(school), _number(connection))


def past_guards(conn: Connection, school: tenants.SchoolRow) -> dict[str, str]:
    """For each guard by name, its effect on the last syncs."""
    plans_of = findings_of_syncs(conn, school.id, MOST_PLANS)
    past = [
        PastPlan({role.value: plan.counts[role] for role in Role if role in plan.counts}, findings, plan.first_sync)
        for plan, findings in plans_of
    ]
    return guard_lines(past, school.settings.guards, bundle=is_bundle(school.connection))


@cache
def zones() -> tuple[str, ...]:
    """Names of time zones as people know them, in order."""
    odd = ("Etc/", "SystemV/", "US/", "posix", "right")
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith(odd)))


def chosen_preset(values: Mapping[str, str]) -> Preset:
    """The preset of the SIS in the form; that of `other` if the name is unknown."""
    try:
        return preset(values.get(forms.name_of(CONNECTION, "sis")) or OTHER)
    except UnknownPreset:
        return preset(OTHER)


def context(request: Request, shown_form: Form) -> dict[str, Any]:
    """The variables of the templates of a section."""
    school, errors, who = shown_form.school, shown_form.errors, viewer(request)
    test = shown_form.test
    kept = test.id if test and test.typed and test.who == who.email else ""
    lost = {"secret": SECRET_IS_LOST} if not kept and typed_secret(request) else {}
    values = {
        "school": school,
        "tab": "settings",
        "base": f"/schools/{school.key}",
        "section": shown_form.section,
        "v": shown_form.values,
        "e": lost | errors,
        "summary": forms.worded(lost | errors) if errors else {},
        "seen": shown_form.seen,
        "conflict": shown_form.conflict,
        "fields": fields,
        "s": forms.SETTINGS,
        "state": last_test(school),
        "connection_test": test,
        "test_errors": shown_form.test_errors,
    }
    if shown_form.of_connection:
        return values | _of_connection(request, shown_form, kept)
    return values | {
        "quality_rules": forms.quality_rules(),
        "zones": zones(),
        "shares": forms.SHARES,
        "defaults": forms.shown(SchoolSettings(school_id="any"), SCHOOL),
        "windows": forms.window_places(shown_form.values),
        "advanced_wrong": _advanced_wrong(errors),
    }


def _of_connection(request: Request, shown_form: Form, kept: str) -> dict[str, Any]:
    school, who, test = shown_form.school, viewer(request), shown_form.test
    may_connect, stored = shown_form.may_connect(who), school.connection.settings
    secret = school.connection.secret
    state = "kept in a variable" if (secret or "").startswith(REFERENCE) else "stored" if secret else "none stored"
    hint = "It is stored and never shown. Leave this empty to keep it." if secret else "It is never shown again."
    if kept:
        hint = "The secret you tested is used. Leave this empty, or type another one."
    look = max(1, _number(request.query_params.get("look", "")) + 1)  # another address, so that the browser loads it
    mine = [row.name for row in shown_form.sharing if who.may_see(row)]
    others = len(shown_form.sharing) - len(mine)
    values = shown_form.values if may_connect else forms.shown(stored, CONNECTION) | shown_form.values
    tried = test.items if test else school.test["items"] if school.test else []
    return {
        "presets": presets(),
        "preset": chosen_preset(values),
        "stored": stored,
        "may_connect": may_connect,
        "may_manage": who.may_manage(school.district_id),
        "of_district": shown_form.of_district,
        "shared": mine + ([f"{others} more school{'' if others == 1 else 's'}"] if others else []),
        "secret_state": state,
        "secret_hint": hint,
        "keep_test": kept,
        "again": f"/schools/{school.key}/settings/connection?test={test.id}&look={look}#test" if test else "",
        "tested_at": datetime.fromisoformat(school.test["at"]) if school.test else None,
        "advanced_wrong": _advanced_wrong(shown_form.errors) or bool(fields_named(tried)),
    }


def _advanced_wrong(errors: Errors) -> bool:
    """Whether a field that is folded away is wrong."""
    return any(forms.SETTINGS[name].advanced for name in errors if name in forms.SETTINGS)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
