"""Phone numbers as E.164, by `phonenumbers`; distinct values only, each in the school's own region.

The library needs 30 microseconds a number, half a minute for a district of a million. So a number that is written
plainly, in digits and the usual signs between them, is held against the library's own patterns for the region all at
once; whatever they do not settle is asked for one by one. A property test holds both ways together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.null_values import without_null_words
from roster_pipeline.frames import TEXT, Array, Flags, filled, on_distinct

_FILLERS = r"^[0\s().+-]*$"
"""A number of zeros alone is a filled-in form, not a wrong number."""
_SIGNS = r"[() .\-]"
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan",
    "voicemail",
)  # fmt: skip
"""The kinds of number that make a number valid, by their names in the library's metadata."""


def clean_phones(raw: Array, region: str) -> tuple[Array, Flags]:
    """Numbers as E.164, and where one was given that is none (its value is missing then).

    region: the two-letter country whose national numbers are meant where no country code is given.
    """
    given = without_null_words(raw)
    given = pc.if_else(pc.match_substring_regex(given, pattern=_FILLERS), None, given)
    cleaned = _plain(given, region)
    rest = pc.if_else(pc.is_valid(cleaned), None, given)
    if rest.null_count < len(rest):
        asked = on_distinct(rest, lambda some: pa.array([e164(text, region) for text in some.to_pylist()], TEXT))
        cleaned = pc.coalesce(cleaned, asked)
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


@dataclass(frozen=True)
class _Region:
    """country_code, and patterns of whole national numbers. read_as: what the library would read as a prefix."""

    country_code: str
    any_kind: str
    kinds: str
    read_as_prefix: str


def _plain(given: Array, region: str) -> Array:
    """The numbers that are plainly valid in the region; missing where that is not settled."""
    known = _known(region)
    if known is None:
        return pa.nulls(len(given), TEXT)
    lead = "+" + known.country_code
    simple = pc.match_substring_regex(given, pattern=rf"^(?:\+{known.country_code})?[0-9() .\-]+$")
    digits = pc.replace_substring_regex(given, pattern=_SIGNS, replacement="")
    national = pc.if_else(pc.starts_with(digits, lead), pc.utf8_slice_codeunits(digits, len(lead)), digits)
    fits = pc.and_(
        pc.match_substring_regex(national, pattern=known.any_kind),
        pc.match_substring_regex(national, pattern=known.kinds),
    )
    odd = pc.match_substring_regex(national, pattern=known.read_as_prefix)
    fine = pc.and_(pc.and_(simple, fits), pc.invert(odd))
    return pc.if_else(fine, pc.binary_join_element_wise(pa.scalar(lead, TEXT), national, pa.scalar("", TEXT)), None)


@lru_cache(maxsize=256)
def _known(region: str) -> _Region | None:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        return None
    kinds = [getattr(metadata, kind) for kind in _KINDS]
    patterns = [kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern]
    prefixes = [metadata.national_prefix_for_parsing, metadata.international_prefix]
    known = _Region(
        country_code=str(metadata.country_code),
        any_kind=f"^(?:{metadata.general_desc.national_number_pattern})$",
        kinds="^(?:" + "|".join(f"(?:{pattern})" for pattern in patterns) + ")$",
        read_as_prefix="^(?:" + "|".join(f"(?:{prefix})" for prefix in prefixes if prefix) + ")",
    )
    try:
        for pattern in (known.any_kind, known.kinds, known.read_as_prefix):
            pc.match_substring_regex(pa.array([""], TEXT), pattern=pattern)
    except pa.ArrowInvalid:
        return None
    return known
