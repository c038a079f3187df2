"""Turns settings into the values of a form, the values into settings, and validation errors into sentences.

The name of a field is the path of its setting: `connection-url`, `school-students-archive`,
`school-guards-windows-0-first`. Shares are percentages on the page. The Client Secret is never among the values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from roster_pipeline.cleaning.quality_suite import QualitySuiteError, Rule, installed_suite
from roster_pipeline.services.settings_changes import SECRET
from roster_pipeline.settings import fields
from roster_pipeline.settings.school import (
    MOST_RECIPIENTS,
    ConnectionSettings,
    Guards,
    QualityRule,
    RoleSettings,
    SchoolSettings,
    Window,
)

Values = dict[str, str]
Errors = dict[str, str]
KEY_WORDS = "Use lower-case letters, digits and hyphens, at most 64."
TAKEN = "This key is in use; choose another."
ON = "on"
CONNECTION, SCHOOL = "connection", "school"
SWITCHES = tuple(RoleSettings.model_fields)
LINES = ("report_to", "role_map", "contact_rules", "contact_flags")
"""Settings that are lists, with one entry on each line of a text area."""
CONTACT_LINES = ("contact_rules", "contact_flags")
EMPTY_WINDOWS = 2
MOST_WINDOWS = 20
SHARES = frozenset(name for name, field in Guards.model_fields.items() if field.annotation is float)
CHECKS = {
    CONNECTION: tuple(name for name, field in ConnectionSettings.model_fields.items() if field.annotation is bool),
    SCHOOL: tuple(name for name, field in SchoolSettings.model_fields.items() if field.annotation is bool),
}
WINDOWS, QUALITY = "school-guards-windows", "school-quality-"


def addresses(text: str) -> list[str]:
    """E-mail addresses, one per line or with commas, semicolons or blanks between them."""
    return text.replace(",", " ").replace(";", " ").split()


def name_of(*path: object) -> str:
    """The name of the field for the path of a setting."""
    return "-".join(str(step) for step in path)


SETTINGS = {
    **{name_of(CONNECTION, setting.name): setting for setting in fields.CONNECTION},
    **{name_of(SCHOOL, *setting.name.split(".")): setting for setting in (*fields.SCHOOL, fields.NAME)},
    **{name_of(SCHOOL, "guards", guard.name): guard for guard in fields.GUARDS},
    "secret": fields.CLIENT_SECRET,
}
"""The setting of every field of the form."""


def shown(settings: BaseModel, prefix: str) -> Values:
    """Settings of a connection or a school as values of fields. prefix: `connection` or `school`."""
    return dict(_flat(settings.model_dump(mode="json"), prefix))


def _flat(value: Any, *path: object) -> Iterator[tuple[str, str]]:
    name = path[-1]
    if name == "role_map":
        yield name_of(*path), "\n".join(f"{role} = {group}" for role, group in value.items())
    elif name == "windows" or isinstance(value, dict):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(inner, *path, step)
    elif isinstance(value, list):
        yield name_of(*path), "\n".join(value)
    elif value is not None and (name in SHARES or name == "mostly"):
        yield name_of(*path), f"{round(value * 100, 6):g}"
    else:
        yield name_of(*path), value[:5] if name == "sync_time" else _text(value)


def sent(form: Mapping[str, Any], prefix: str) -> Values:
    """What came for a connection or a school, as it was typed; an empty check box sends nothing."""
    return {name: str(value).replace("\r\n", "\n") for name, value in form.items() if name.startswith(f"{prefix}-")}


def plain_connection(values: Values, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The stored settings of a connection with the values of the form, not validated. Empty is None if allowed."""
    plain = dict(stored)
    for name, field in ConnectionSettings.model_fields.items():
        typed = values.get(name_of(CONNECTION, name))
        if name in CHECKS[CONNECTION]:
            plain[name] = typed == ON
        elif name in CONTACT_LINES and typed is not None:
            plain[name] = [line.strip() for line in typed.split("\n") if line.strip()]
        elif typed is not None:
            optional = field.default is None
            plain[name] = None if optional and not typed.strip() else typed.strip()
    return plain


def plain_school(values: Values, stored: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The stored settings of a school with the values of the form, not validated. names: the settings of the form."""
    plain = dict(stored)
    for name in names & SchoolSettings.model_fields.keys():
        typed = values.get(name_of(SCHOOL, name))
        if name in CHECKS[SCHOOL]:
            plain[name] = typed == ON
        elif name in fields.ROLES:
            plain[name] = {switch: values.get(name_of(SCHOOL, name, switch)) == ON for switch in SWITCHES}
        elif name == "guards":
            plain[name] = _guards(values, plain[name])
        elif name == "quality":
            plain[name] = _quality(values, plain[name])
        elif typed is None:
            continue
        elif name == "report_to":
            plain[name] = addresses(typed)[: MOST_RECIPIENTS + 1]  # a form has room for many more
        else:
            plain[name] = _pairs(typed) if name == "role_map" else typed.strip()
    return plain


def _guards(values: Values, stored: Mapping[str, Any]) -> dict[str, Any]:
    guards = dict(stored)
    for name in Guards.model_fields:
        typed = values.get(name_of(SCHOOL, "guards", name))
        if typed is not None and name != "windows":
            guards[name] = _share(typed) if name in SHARES else typed.strip()
    if any(name.startswith(name_of(SCHOOL, "guards", "windows")) for name in values):
        guards["windows"] = [window for _, window in _windows(values)]
    return guards


def _windows(values: Values) -> list[tuple[int, dict[str, str]]]:
    """The rows of the windows table that hold a date, with their index on the page."""
    rows = []
    for place in range(MOST_WINDOWS):
        row = {part: values.get(name_of(SCHOOL, "guards", "windows", place, part), "") for part in Window.model_fields}
        if row["first"] or row["last"]:
            rows.append((place, row))
    return rows


def _quality(values: Values, stored: Mapping[str, Any]) -> dict[str, Any]:
    start = name_of(SCHOOL, "quality", "")
    rules: dict[str, Any] = {} if any(name.startswith(start) for name in values) else dict(stored)
    for name, typed in values.items():
        rule, _, part = name.removeprefix(start).rpartition("-")
        if name.startswith(start) and part in QualityRule.model_fields and typed.strip():
            rules.setdefault(rule, {})[part] = _share(typed) if part == "mostly" else typed
    return rules


def window_places(values: Values) -> range:
    """The rows of the windows table on the page: the filled ones and a few empty ones."""
    used = [place for place, _ in _windows(values)]
    return range(min(MOST_WINDOWS, (max(used) + 1 if used else 0) + EMPTY_WINDOWS))


def errors_of(problem: ValidationError, prefix: str, values: Values) -> dict[str, str]:
    """Message by field. If a field has several errors, the first counts."""
    messages: dict[str, str] = {}
    for error in problem.errors(include_url=False, include_input=False):
        messages.setdefault(_field(error["loc"], prefix, values), _message(error))
    return messages


def _field(place: Sequence[int | str], prefix: str, values: Values) -> str:
    if place and place[0] in LINES:
        return name_of(prefix, place[0])
    if tuple(place[:2]) == ("guards", "windows") and len(place) > 2:
        row = _windows(values)[int(place[2])][0]
        return name_of(prefix, "guards", "windows", row, *(place[3:] or ("last",)))
    return name_of(prefix, *place)


def _message(error: ErrorDetails) -> str:
    kind, bounds, place = error["type"], error.get("ctx") or {}, error["loc"]
    if place[-1] in SHARES or place[-1] == "mostly":
        return "Write a percentage from 0 to 100."
    line = f"Line {int(place[1]) + 1}: " if place[0] in ("report_to", *CONTACT_LINES) and len(place) > 1 else ""
    if kind == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        return line + message[:1].upper() + message[1:] + "."
    if kind in ("missing", "string_too_short"):
        return "Fill this in."
    if kind == "string_too_long":
        return f"Use {bounds.get('max_length')} characters at most."
    if kind in ("int_parsing", "int_type", "int_from_float", "int_parsing_size"):
        return "Write a whole number."
    if kind == "greater_than_equal":
        return f"Write {bounds['ge']:,} or more."
    if kind == "less_than_equal":
        return f"Write {bounds['le']:,} or less."
    if kind.startswith("time"):
        return "Write a time, such as 20:00."
    if kind.startswith("date"):
        return "Write a date, such as 2027-06-20."
    if kind == "literal_error":
        start = f"{place[1]}: c" if place[0] == "role_map" and len(place) > 1 else "C"
        return f"{start}hoose one of {bounds.get('expected', 'the list')}.".replace("'", "")
    if kind == "string_pattern_mismatch" and place[-1] == "phone_region":
        return "Write the two letters of a country, such as US or DE."
    return "This value is not valid here."


def _pairs(text: str) -> dict[str, str]:
    """Lines of `role = group` as a mapping. A line without a group is kept, so that the validation refuses it."""
    pairs = {}
    for line in text.split("\n"):
        role, _, group = line.rpartition("=") if "=" in line else (line, "", "")
        if line.strip():
            pairs[role.strip()] = group.strip()
    return pairs


def _share(typed: str) -> float | str:
    """A percentage as a share from 0 to 1. Text that is not a number is kept, so that the validation refuses it."""
    text = typed.strip().removesuffix("%").strip().replace(",", ".")
    try:
        return round(float(text) / 100, 8)
    except ValueError:
        return text or "none"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return ON if value else ""
    return "" if value is None else str(value)


def wrong(refused: Mapping[str, str]) -> Errors:
    """Errors by setting as errors by field of the form."""
    of_school = SchoolSettings.model_fields
    return {
        "secret" if name == SECRET else name_of(SCHOOL if name in of_school else CONNECTION, name): message
        for name, message in refused.items()
    }


def worded(errors: Errors) -> Errors:
    """The errors with the labels of their fields, for the list above the form."""
    rules, lines = quality_rules(), {}
    for name, message in errors.items():
        label = SETTINGS[name].title if name in SETTINGS else "Windows" if name.startswith(WINDOWS) else ""
        if name.startswith(QUALITY):
            rule = rules.get(name.removeprefix(QUALITY).rpartition("-")[0])
            label = rule.description if rule else ""
        lines[name] = f"{label}: {message}" if label else message
    return lines


def quality_rules() -> dict[str, Rule]:
    """Each quality rule of this installation, by its name; empty if the suite cannot be read."""
    try:
        return {rule.name: rule for rule in installed_suite().rules}
    except QualitySuiteError:
        return {}
