"""How a contact rule is written: `FIELD=VALUES` or `FIELD!=VALUES`. What it does: `cleaning/contact_rules.py`."""

from __future__ import annotations

import re

_CONTACT_FIELD = r"(?:metadata|agents):[^=!,]*[^=!,\s]"
_CONTACT_RULE = re.compile(rf"^(role|relationship|{_CONTACT_FIELD})\s*(!=|=)\s*(.*)$")


def parts(rule: str) -> tuple[str, bool, tuple[str, ...]]:
    """A contact rule in its parts: the field, whether its values are the allowed ones, and the values.

    `FIELD=VALUES` names the allowed values, `FIELD!=VALUES` the excluded ones. Raises ValueError for anything else.
    """
    found = _CONTACT_RULE.match(rule.strip())
    values = tuple(value.strip() for value in found[3].split(",") if value.strip()) if found else ()
    if found is None or not values:
        raise ValueError(
            "write FIELD=VALUES for the values with which a contact may be called, or FIELD!=VALUES for those with "
            "which it may not; FIELD is role, relationship, metadata:KEY or agents:KEY"
        )
    return found[1], found[2] == "=", values


def checked_rule(rule: str) -> str:
    """The rule in its plain form. Raises ValueError."""
    field, allowed, values = parts(rule)
    return f"{field}{'=' if allowed else '!='}{','.join(values)}"


def checked_field(field: str) -> str:
    """A field of a contact that the SIS fills: `metadata:KEY` or `agents:KEY`. Raises ValueError."""
    if not re.fullmatch(_CONTACT_FIELD, field.strip()):
        raise ValueError("say where it is: metadata:KEY, or agents:KEY for a member of the entries in agents")
    return field.strip()
