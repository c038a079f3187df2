"""E-mail addresses by `email-validator`, phone numbers by `phonenumbers`; distinct values only.

The libraries need about 30 microseconds a value, half a minute for a district of a million. So patterns decide about
all values of a plain shape in a column at once, with the same result as the library. Only the other values are given to
the library, one by one. A property test compares both ways.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from email_validator import EmailNotValidError, validate_email

from roster_pipeline.cleaning.field_values import hidden, without_null_words
from roster_pipeline.frames import TEXT, Array, Flags, filled, on_distinct, truth

_LOCAL = r"[a-z0-9_+'-]{1,64}(?:\.[a-z0-9_+'-]+)*"

_PLAIN = rf"^{_LOCAL}@[a-z0-9-]+(?:\.[a-z0-9-]+)+$"

_ENCODED = "xn--"
"""How a domain with letters outside ASCII begins if they are encoded. The library decodes it."""

_SURELY_SHORT = 64
"""Even the part before the @ may have this length, so the library finds no address up to it too long."""

_FILLERS = r"^[0\s().+-]*$"
"""A number of zeros alone is a placeholder, not a wrong number."""

_SIGNS = r"[() .\-]"

_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan",
    "voicemail",
)  # fmt: skip
"""The kinds of number that make a number valid, by their names in the library's metadata."""


def clean_emails(raw: Array) -> tuple[Array, Flags]:
    """Addresses in one spelling, and flags for addresses that were given but are not valid (their value is then
    missing)."""
    given = pc.utf8_rtrim(pc.utf8_lower(without_null_words(raw)), characters=".")
    cleaned = _cleaned_emails(pc.if_else(pa.array(hidden(given)), None, given))
    return cleaned, filled(given) & ~filled(cleaned)


def valid_email(address: str | None) -> str | None:
    """One address as the library normalises it, in lower case; None if it is not valid."""
    if address is None:
        return None
    try:
        valid = validate_email(address, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError:
        return None
    return valid.normalized.lower()


def _cleaned_emails(given: Array) -> Array:
    short = pc.less_equal(pc.binary_length(given), _SURELY_SHORT)
    plain = truth(pc.and_(pc.match_substring_regex(given, pattern=_PLAIN), short))
    plain &= ~truth(pc.match_substring(given, _ENCODED))
    parts = pc.list_flatten(pc.split_pattern(given.filter(pa.array(plain)), "@"))
    domains = parts.take(pa.array(np.arange(1, len(parts), 2)))
    fine = plain.copy()
    fine[plain] = truth(on_distinct(domains, lambda names: pa.array(map(_takes_mail, names.to_pylist()), pa.bool_())))
    easy = pc.if_else(pa.array(fine), given, None)
    rest = pc.if_else(pa.array(plain), None, given)
    if rest.null_count == len(rest):
        return easy
    asked = on_distinct(rest, lambda some: pa.array(map(valid_email, some.to_pylist()), TEXT))
    return pc.coalesce(easy, asked)


@lru_cache(maxsize=65_536)
def _takes_mail(domain: str) -> bool:
    return valid_email(f"a@{domain}") == f"a@{domain}"


def clean_phones(raw: Array, region: str) -> tuple[Array, Flags]:
    """Numbers as E.164, and flags for numbers that were given but are not valid (their value is then missing).

    region: the two-letter country of numbers without a country code.
    """
    coded = raw.dictionary_encode()
    cleaned, bad = _cleaned_phones(coded.dictionary, region)
    return cleaned.take(coded.indices), truth(pa.array(bad).take(coded.indices))


def _cleaned_phones(raw: Array, region: str) -> tuple[Array, Flags]:
    given = without_null_words(raw)
    given = pc.if_else(pc.match_substring_regex(given, pattern=_FILLERS), None, given)
    cleaned = _plain_phones(given, region)
    rest = pc.if_else(pc.is_valid(cleaned), None, given)
    if rest.null_count < len(rest):
        asked = pa.array([e164(text, region) for text in rest.to_pylist()], TEXT)
        cleaned = pc.coalesce(cleaned, asked)
    return cleaned, filled(given) & ~filled(cleaned)


@lru_cache(maxsize=65_536)
def e164(text: str | None, region: str) -> str | None:
    """One number as the library formats it; None if it cannot be dialled."""
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
class _PhonePatterns:
    """country_code, and patterns of whole national numbers. read_as_prefix: digits that the library would read as a
    prefix.
    """

    country_code: str
    any_kind: str
    kinds: str
    read_as_prefix: str


def _plain_phones(given: Array, region: str) -> Array:
    """The numbers that are certainly valid in the region; missing if that is not certain."""
    patterns = _patterns_of(region)
    if patterns is None:
        return pa.nulls(len(given), TEXT)
    lead = "+" + patterns.country_code
    simple = pc.match_substring_regex(given, pattern=rf"^(?:\+{patterns.country_code})?[0-9() .\-]+$")
    digits = pc.replace_substring_regex(given, pattern=_SIGNS, replacement="")
    national = pc.if_else(pc.starts_with(digits, lead), pc.utf8_slice_codeunits(digits, len(lead)), digits)
    fits = pc.and_(
        pc.match_substring_regex(national, pattern=patterns.any_kind),
        pc.match_substring_regex(national, pattern=patterns.kinds),
    )
    odd = pc.match_substring_regex(national, pattern=patterns.read_as_prefix)
    fine = pc.and_(pc.and_(simple, fits), pc.invert(odd))
    return pc.if_else(fine, pc.binary_join_element_wise(pa.scalar(lead, TEXT), national, pa.scalar("", TEXT)), None)


@lru_cache(maxsize=256)
def _patterns_of(region: str) -> _PhonePatterns | None:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        return None
    kinds = [getattr(metadata, kind) for kind in _KINDS]
    patterns = [kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern]
    prefixes = [metadata.national_prefix_for_parsing, metadata.international_prefix]
    phone_patterns = _PhonePatterns(
        country_code=str(metadata.country_code),
        any_kind=f"^(?:{metadata.general_desc.national_number_pattern})$",
        kinds="^(?:" + "|".join(f"(?:{pattern})" for pattern in patterns) + ")$",
        read_as_prefix="^(?:" + "|".join(f"(?:{prefix})" for prefix in prefixes if prefix) + ")",
    )
    try:
        for pattern in (phone_patterns.any_kind, phone_patterns.kinds, phone_patterns.read_as_prefix):
            pc.match_substring_regex(pa.array([""], TEXT), pattern=pattern)
    except pa.ArrowInvalid:
        return None
    return phone_patterns
