"""Names: made one spelling of the same text, and reduced to the key by which two spellings are compared.

A name never matches by itself; it only confirms what a number or an e-mail says.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import pyarrow.compute as pc

from roster_pipeline.frames import Array, Flags, on_distinct, truth

LONGEST_NAME = 200
"""A name longer than this is not a name; the longest registered ones have about 100 characters."""

_SPACE = r"\p{Z}\t\n\v\f\r"
_UNSEEN = (
    r"\p{Cc}\p{Co}\x{00AD}\x{061C}\x{180E}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}"
    r"\x{3164}\x{FEFF}\x{FFA0}\x{FFFD}\x{E0000}-\x{E007F}"
)
"""Control, private-use and directional characters, tags, and fillers that look like a blank. The joiners U+200C and
U+200D stay: Persian and Hindi need them."""
_SPACES = rf"[{_UNSEEN}]*[{_SPACE}][{_SPACE}{_UNSEEN}]*"
_INVISIBLE = rf"[{_UNSEEN}]+"
_NO_NAME = r"^(?:[\pP\pS\s]*|NULL|null|\(null\)|N/A|n/a|#N/A)$"
"""What exports write for an empty cell. `Null` and `None` as a person would write them are family names."""

_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
_VOWEL_MARKS = (0, 8, 9, 103, 118)
"""Combining classes of what is a letter in all but name: vowel signs of India, Thailand and Laos, kana voicing."""
_SELECTORS = re.compile("[\u034f\ufe00-\ufe0f]")


def clean_text(raw: Array) -> Array:
    """Text as Unicode NFC, one blank for any white space, without control characters; nothing left is missing."""
    return on_distinct(raw, _cleaned)


def clean_names(raw: Array) -> Array:
    """As `clean_text`, and what exports write for an empty cell is missing."""
    return on_distinct(raw, lambda names: _without(_cleaned(names), _NO_NAME))


def too_long(names: Array) -> Flags:
    """Where a name is longer than `LONGEST_NAME`."""
    return truth(pc.greater(pc.utf8_length(names), LONGEST_NAME))


@lru_cache(maxsize=65_536)
def name_key(name: str | None) -> str:
    """What two spellings of one name share: case, accents, blanks and punctuation do not count. '' has no key."""
    if not name:
        return ""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LETTERS)
    if plain.isalpha():
        return plain
    return "".join(filter(_told, _SELECTORS.sub("", plain)))


def _told(letter: str) -> bool:
    mark = unicodedata.category(letter)[0] == "M"
    return unicodedata.combining(letter) in _VOWEL_MARKS if mark else letter.isalnum()


def _cleaned(texts: Array) -> Array:
    texts = pc.replace_substring_regex(texts, pattern=_SPACES, replacement=" ")
    texts = pc.replace_substring_regex(texts, pattern=_INVISIBLE, replacement="")
    texts = pc.utf8_normalize(texts, form="NFC")  # last, for an accent may have stood behind something invisible
    return _without(pc.utf8_trim_whitespace(texts), r"^$")


def _without(texts: Array, pattern: str) -> Array:
    return pc.if_else(pc.match_substring_regex(texts, pattern=pattern), None, texts)
