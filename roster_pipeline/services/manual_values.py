"""Values of a person that somebody enters: normalized like those from a SIS, or refused.

Applications read one directory: e-mails are lower-case and phone numbers in international form, from any source.
"""

from __future__ import annotations

from roster_pipeline.cleaning.emails_and_phones import e164, valid_email
from roster_pipeline.cleaning.field_values import clean_names, clean_text, too_long
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.frames import Array, strings

NAMES = ("given_name", "family_name", "middle_name", "preferred_given_name", "preferred_family_name")
_NO_COUNTRY = "ZZ"
"""The library's code for an unknown region: a person may have schools in several, so a number needs its country."""


class NotUsable(DirectoryError):
    """The entered value cannot be stored. The error does not repeat it."""


def as_stored(name: str, text: str) -> str | None:
    """The text of a field as the directory holds it; None where it is empty. Raises NotUsable."""
    cleaned: Array = clean_text(strings([text.strip()]))
    value: str | None = cleaned.to_pylist()[0]
    if value is None:
        return None
    if name == "email":
        return _or_refuse(valid_email(value.lower()), "Enter a valid e-mail address.", "ada@example.org")
    if name == "phone":
        wrong = "Enter a phone number in international form."
        return _or_refuse(e164(value, _NO_COUNTRY), wrong, "+1 312 555 0142")
    if name in NAMES:
        names = clean_names(cleaned)
        usable = None if too_long(names)[0] else names.to_pylist()[0]
        return _or_refuse(
            usable, f"Enter a valid {name.replace('_', ' ')}.", f"--set {name}=Ada, or --set {name}= for none"
        )
    return value


def _or_refuse(value: str | None, wrong: str, right: str) -> str:
    if value is None:
        raise NotUsable(wrong, f"For example: {right}")
    return value
