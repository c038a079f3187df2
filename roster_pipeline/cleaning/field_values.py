"""Values of single fields: clean text, names, numbers of students and staff, and grades."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, blanks, filled, lists, on_distinct, strings, truth
from roster_pipeline.vocabulary import LONGEST_ID

LONGEST_NAME = 200
"""A name longer than this is not a name; the longest registered ones have about 100 characters."""

LONGEST_GARBLED = 5 * LONGEST_NAME
"""Longer names are not repaired, only rejected: a hostile one could be garbled a thousand times."""

_SPACE = r"\p{Z}\t\n\v\f\r"

_UNSEEN = (
    r"\p{Cc}\p{Co}\x{00AD}\x{061C}\x{180E}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}"
    r"\x{3164}\x{FEFF}\x{FFA0}\x{E0000}-\x{E007F}"
)
"""Control, private-use and directional characters, tags, and fillers that look like a blank. The joiners U+200C and
U+200D stay: Persian and Hindi need them."""

_SPACES = rf"[{_UNSEEN}]*[{_SPACE}][{_SPACE}{_UNSEEN}]*"

_INVISIBLE = rf"[{_UNSEEN}]+"

_NO_NAME = r"^(?:[\pP\pS\s]*|NULL|null|\(null\)|N/A|n/a)$"
"""Words that exports write for an empty cell. `Null` and `None`, in the spelling of names, are family names."""

ABSENT = r"(?i)^(?:null|\(null\)|none|nil|n/?a|undefined|unknown|nan|tb[ad]|pending|unassigned|[-_.?/\s]+)$"
"""Words for an empty cell in e-mails, phones, usernames and numbers. Names have their own, shorter list."""

_USER_IDS, _METADATA = "userIds:", "metadata:"

_ZEROS = r"^0+$"
"""Zeros alone are a placeholder. Otherwise leading zeros count, because numbers are text."""

_HIDDEN = (
    r"\*\*|###|\x{2022}\x{2022}|\x{FFFD}|\pL\?\pL|^#[\x{A1}\x{BF}]?[\p{Lu}/0]{2,12}[!?]$"
    r"|(?i)^#(?:\pL/\pL|NV)$|^\W*(?:x{3,60}|redacted|masked)\W*$"
)
"""A SIS may hide letters from an account that is not allowed to read them. A spreadsheet writes ##### if a column is
too narrow, and #REF! or #N/A (in its own language) for a formula that failed. U+FFFD, and a question mark between
letters, stand for a letter that an encoding lost; without it, the value may be another person's."""

_HTML = r"&(?:#\d{2,6}|#[xX][0-9a-fA-F]{2,6}|[a-zA-Z]{2,8});"
_READ_WRONG = r"[\x{C2}\x{C3}][^\x{00}-\x{7F}]|[\x{C4}-\x{F4}][^\x{00}-\x{7F}\p{L}]"
"""Letters in UTF-8 that were read as Windows-1252, such as "Ã©" for "é". No name has such signs after such letters."""

HINTS = {
    _NO_NAME: r"^[^A-Za-z]*$|NULL|null|N/A|n/a",
    _HIDDEN: r"[*#?\x{2022}\x{FFFD}]|(?i)xxx|redacted|masked",
    _READ_WRONG: r"[\x{C2}-\x{F4}]",
}
"""What all texts have that a pattern matches. A pattern with all letters or signs of Unicode takes up to a millisecond
to prepare, and few texts need it."""

_SHORTENED = r"^\d+(?:[.,]\d+)?[eE]\+\d+$"
"""A spreadsheet that takes a long number for a value writes 1.23E+05. Its last digits are lost."""

_WHOLE = r"^([1-9]\d*)\.0$"
"""A number that was stored as a decimal one. The sourcedId stays as it is, so that such a number is still known to be
only that."""

CEDS = ("IT", "PR", "PK", "TK", "KG", *(f"{year:02}" for year in range(1, 14)), "PS", "UG", "AE", "OTHER")
"""Youngest first: if a student has several grades, the highest counts."""

_WORDS = {
    "infant": "IT", "toddler": "IT", "infanttoddler": "IT",
    "preschool": "PR", "nursery": "PR", "ps3": "PR",
    "prekindergarten": "PK", "prek": "PK", "pk": "PK", "p3": "PK", "p4": "PK", "pk3": "PK", "pk4": "PK",
    "transitionalkindergarten": "TK", "tk": "TK",
    "kindergarten": "KG", "kinder": "KG", "k": "KG", "kg": "KG", "k4": "KG", "k5": "KG", "reception": "KG",
    "freshman": "09", "sophomore": "10", "junior": "11", "senior": "12",
    "postsecondary": "PS", "ungraded": "UG", "adult": "AE", "adulteducation": "AE", "other": "OTHER",
    "first": "01", "second": "02", "third": "03", "fourth": "04", "fifth": "05", "sixth": "06",
    "seventh": "07", "eighth": "08", "ninth": "09", "tenth": "10", "eleventh": "11", "twelfth": "12",
}  # fmt: skip

_NOISE = re.compile(r"\b(grade|gr|year|yr|level|class|klasse|stufe)\b|[^\w]|_")

_NUMBER = re.compile(r"^0*(\d{1,2})(?:st|nd|rd|th)?$")

_NO_FRACTION = re.compile(r"(?<=\d)\.0+(?!\d)")
"""Spreadsheets and JSON numbers turn 9 into 9.0."""

_NO_ONE_YEAR = re.compile(r"\d[\W_]+\d|(?:^|\s)[-\u2212]\d")
"""Two numbers are two grades, and a negative one is some system's own code: without its sign it would be another."""

_BETWEEN = "\x1f"


def clean_text(raw: Array) -> Array:
    """Text as Unicode NFC, one blank for any white space, without control characters; nothing left is missing."""
    odd = _odd(raw)
    if not odd.any():
        return raw
    where = pa.array(odd)
    return pc.replace_with_mask(raw, where, on_distinct(raw.filter(where), _cleaned))


def clean_names(raw: Array) -> Array:
    """As `clean_text`; a name that exports write for an empty cell is missing. A hidden name is missing too. Letters
    that a wrong encoding or HTML changed are read as they were."""
    return on_distinct(raw, lambda names: _without(_without(_as_meant(names), _NO_NAME), _HIDDEN))


def _as_meant(names: Array) -> Array:
    meant = clean_text(_ungarbled(names))
    changed = pc.fill_null(pc.not_equal(meant, names), False)
    if not pc.any(changed).as_py():
        return meant
    # Again, because something invisible may have been between two signs.
    return pc.replace_with_mask(meant, changed, clean_text(_ungarbled(meant.filter(changed))))


def _ungarbled(names: Array) -> Array:
    readable = pc.less(pc.utf8_length(names), LONGEST_GARBLED)
    for pattern, meant in ((_HTML, _without_html), (_READ_WRONG, _as_utf8)):
        where = pc.fill_null(pc.and_(_matches(names, pattern), readable), False)
        if pc.any(where).as_py():
            names = pc.replace_with_mask(names, where, pa.array(map(meant, names.filter(where).to_pylist()), TEXT))
    return names


def _without_html(name: str) -> str:
    meant = unescape(name)
    return name if meant == name else _without_html(meant)


def _as_utf8(name: str) -> str:
    """The name whose UTF-8 was read as Windows-1252, perhaps several times."""
    try:
        meant = b"".join(bytes([ord(x)]) if "\x7f" < x < "\xa0" else x.encode("windows-1252") for x in name).decode()
    except UnicodeError:
        return name
    return name if meant == name else _as_utf8(meant)


def too_long(names: Array) -> Flags:
    """Flags the names that are longer than `LONGEST_NAME`."""
    return truth(pc.greater(pc.utf8_length(names), LONGEST_NAME))


def _odd(texts: Array) -> Flags:
    """Flags empty texts and those with a blank, a control character or a letter outside ASCII. The others are clean."""
    odd: Flags = np.zeros(len(texts), dtype=bool)
    if texts.null_count == len(texts):
        return odd
    _, places, data = texts.buffers()
    ends = np.frombuffer(places, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    unusual = np.flatnonzero(letters - np.uint8(ord("!")) > ord("~") - ord("!"))  # smaller bytes wrap around
    odd[np.searchsorted(ends, unusual + ends[0], side="right") - 1] = True
    odd[np.diff(ends) == 0] = True
    return odd & filled(texts)


def _cleaned(texts: Array) -> Array:
    texts = pc.replace_substring_regex(texts, pattern=_SPACES, replacement=" ")
    texts = pc.replace_substring_regex(texts, pattern=_INVISIBLE, replacement="")
    texts = pc.utf8_normalize(
        texts, form="NFC"
    )  # this comes last, because something invisible may have been between a letter and its accent
    return _without(pc.utf8_trim_whitespace(texts), r"^$")


def _without(texts: Array, pattern: str) -> Array:
    return pc.if_else(_matches(texts, pattern), None, texts)


def _matches(texts: Array, pattern: str) -> Array:
    where = pc.match_substring_regex(texts, pattern=HINTS.get(pattern, pattern))
    if pattern not in HINTS or not pc.any(where).as_py():
        return where
    where = pc.fill_null(where, False)
    return pc.replace_with_mask(where, where, pc.match_substring_regex(texts.filter(where), pattern=pattern))


def without_null_words(raw: Array) -> Array:
    """Clean text; a word for "nothing" is missing."""
    return _without(clean_text(raw), ABSENT)


def hidden(raw: Array) -> Flags:
    """Flags the texts that hide a part of their letters. Nobody can read such a value."""
    return truth(_matches(raw, _HIDDEN))


def is_cut(numbers: Array) -> Flags:
    """Flags the numbers whose last digits a spreadsheet cut."""
    return truth(pc.match_substring_regex(numbers, pattern=_SHORTENED))


def numbers_from(users: pd.DataFrame, source: str) -> tuple[Array, Flags]:
    """The numbers of the records by a connection's setting, and flags for numbers that were given and cannot be one
    (their value is then missing).

    source: identifier, sourcedId, username, userMasterIdentifier, userIds:TYPE (first of that type, any case) or
    metadata:KEY.
    """
    no_text = np.zeros(len(users), dtype=bool)
    if source.startswith(_USER_IDS):
        raw = _of_type(users["userIds"], source.removeprefix(_USER_IDS))
    elif source.startswith(_METADATA):
        key = source.removeprefix(_METADATA)
        raw = metadata_text(users["metadata"], key)
        no_text = np.fromiter((_is_no_text(metadata, key) for metadata in users["metadata"]), bool, len(users))
    else:
        raw = strings(users[source])
    cleaned = without_null_words(raw)
    wrong = truth(pc.greater(pc.utf8_length(cleaned), LONGEST_ID))
    wrong |= hidden(raw) | is_cut(cleaned)
    unusable = wrong | truth(pc.match_substring_regex(cleaned, pattern=_ZEROS))
    is_id = truth(pc.equal(cleaned, strings(users["sourcedId"])))
    whole = pc.replace_substring_regex(cleaned, pattern=_WHOLE, replacement=r"\1")
    return pc.if_else(pa.array(unusable), None, pc.if_else(pa.array(is_id), cleaned, whole)), wrong | no_text


def metadata_text(column: pd.Series[Any], key: str) -> Array:
    """One metadata key of each record as text; lists and objects are missing."""
    return pa.array([_plain(metadata, key) for metadata in column], TEXT)


def _is_no_text(metadata: Any, key: str) -> bool:
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    return value != [] and isinstance(value, list | Mapping)


def _plain(metadata: Any, key: str) -> str | None:
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _of_type(column: pd.Series[Any], wanted: str) -> Array:
    ids = lists(column)
    owners = pc.list_parent_indices(ids)
    flat = pc.list_flatten(ids)
    kinds, identifiers = pc.struct_field(flat, "type"), pc.struct_field(flat, "identifier")
    right = pc.fill_null(pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(kinds)), wanted.strip().lower()), False)
    right = pc.and_(right, pc.is_valid(identifiers))
    owners, identifiers = owners.filter(right), identifiers.filter(right)
    if not len(owners):
        return blanks(len(ids))
    return identifiers.take(pc.index_in(pa.array(range(len(ids)), owners.type), value_set=owners)).cast(TEXT)


def clean_grades(raw: Array) -> tuple[Array, Array, Flags]:
    """Each list of grades as one code, the original next to it, and flags for grades that were given but are unknown to
    us."""
    joined = pc.binary_join(raw, pa.scalar(_BETWEEN, TEXT)).cast(TEXT)
    codes = on_distinct(joined, lambda some: pa.array([_highest(text) for text in some.to_pylist()], TEXT))
    source = on_distinct(joined, lambda some: pa.array([_shown(text) for text in some.to_pylist()], TEXT))
    return codes, source, filled(source) & ~filled(codes)


def ceds(grade: str) -> str | None:
    """The code of one grade, or None."""
    text = grade.strip()
    if text.upper() in CEDS:
        return text.upper()
    text = _NO_FRACTION.sub("", text.lower())
    if _NO_ONE_YEAR.search(text):
        return None
    text = _NOISE.sub("", text)
    number = _NUMBER.match(text)
    if number:
        year = int(number.group(1))
        return f"{year:02}" if 1 <= year <= 13 else ("KG" if year == 0 else None)
    return _WORDS.get(text)


def _parts(text: str | None) -> list[str]:
    pieces = re.split(rf"[{_BETWEEN},;]", text or "")
    return [piece.strip() for piece in pieces if piece.strip() and piece.strip().lower() not in ("null", "none", "n/a")]


def _highest(text: str | None) -> str | None:
    codes = [code for code in map(ceds, _parts(text)) if code]
    return max(codes, key=CEDS.index) if codes else None


def _shown(text: str | None) -> str | None:
    return ", ".join(_parts(text)) or None
