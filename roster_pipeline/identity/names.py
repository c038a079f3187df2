"""Names as keys: what two spellings of one name share, and which different names may be one person's."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import product

_LETTERS = (
    str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
    | str.maketrans(
        "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455", "abekmhopctyxijs"
    )
    | str.maketrans(
        "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7", "abezhikmnoptyx"
    )
)
"""Latin letters with a stroke or joined, then Cyrillic and Greek letters whose capitals look like Latin ones."""

_VOWEL_MARKS = (0, 8, 9, 103, 118)
"""Combining classes of characters that count as letters: vowel signs of India, Thailand and Laos, kana voicing."""

_SELECTORS = re.compile("[\u034f\ufe00-\ufe0f]")

_INITIALS = 2
"""So few letters of a name stand in many other names."""


@lru_cache(maxsize=65_536)
def name_key(name: str | None) -> str:
    """The part that two spellings of one name share: without case, accents, blanks and punctuation. "" for an empty
    name."""
    if not name:
        return ""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LETTERS)
    if plain.isalpha():
        return plain
    return "".join(filter(_counts, _SELECTORS.sub("", plain)))


def _counts(letter: str) -> bool:
    mark = unicodedata.category(letter)[0] == "M"
    return unicodedata.combining(letter) in _VOWEL_MARKS if mark else letter.isalnum()


def name_keys(*names: str | None) -> frozenset[str]:
    """The keys of several names of one person, such as the given and the preferred one."""
    return frozenset(key for key in map(name_key, names) if key)


def with_middle(given: frozenset[str], family: frozenset[str], middle: str) -> tuple[frozenset[str], frozenset[str]]:
    """The keys of given and family names, also with the middle name, which some systems write in one field with them:
    `Anne Marie`, `van Dijk`."""
    return given | {key + middle for key in given}, family | {middle + key for key in family}


def whole_names(given: frozenset[str], family: frozenset[str]) -> frozenset[str]:
    """The keys of the given and family names as whole names in one text, in either order. If one kind is unknown, the
    other one is the whole name."""
    if not given or not family:
        return given | family
    return frozenset(text for one in given for other in family for text in (one + other, other + one))


def may_be_one_name(keys: Iterable[str], others: Iterable[str]) -> bool:
    """Whether one of these keys stands in one of the others, as a short form does (Alex, Alexander; Beth, Elizabeth).

    Up to two letters have to be its beginning.
    """
    for pair in product(keys, others):
        short, long = sorted(pair, key=len)
        if long.startswith(short) or (len(short) > _INITIALS and short in long):
            return True
    return False


def in_other_letters(name: str | None, other: str | None) -> bool:
    """Whether two names have no script in common (Ivan in Latin and in Cyrillic letters), so they cannot be
    compared."""
    return bool(name and other and _scripts(name).isdisjoint(_scripts(other)))


@lru_cache(maxsize=65_536)
def _scripts(name: str) -> frozenset[str]:
    letters = filter(str.isalpha, unicodedata.normalize("NFKC", name))
    return frozenset(unicodedata.name(letter, "").partition(" ")[0] for letter in letters)
