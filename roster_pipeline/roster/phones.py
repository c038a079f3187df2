"""Phone numbers as E.164, by `phonenumbers`; distinct values only, each in the school's own region."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.empty_cells import present
from roster_pipeline.roster.frames import TEXT, Array, Flags, filled, on_distinct

_FILLERS = r"^[0\s().+-]*$"
"""A number of zeros alone is a filled-in form, not a wrong number."""


def clean_phones(raw: Array, region: str) -> tuple[Array, Flags]:
    """Numbers as E.164, and where one was given that is none (its value is missing then).

    region: the two-letter country whose national numbers are meant where no country code is given.
    """
    given = present(raw)
    given = pc.if_else(pc.match_substring_regex(given, pattern=_FILLERS), None, given)
    cleaned = on_distinct(given, lambda some: pa.array([e164(text, region) for text in some.to_pylist()], TEXT))
    return cleaned, filled(given) & ~filled(cleaned)


@lru_cache(maxsize=65_536)
def e164(text: str | None, region: str) -> str | None:
    """One number by the library; None where it cannot be dialled."""
    if text is None:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
