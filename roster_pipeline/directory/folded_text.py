"""Text without accents and capitals, for searches: `jose` finds José, and `José` finds Jose.

The database folds stored texts with `folded`, and Python folds the typed words with `fold`. Both follow the same steps.
"""

from __future__ import annotations

import re
import unicodedata

_MARKS = "\u0300-\u036f"
_DIGITS = 18
"""Numbers with so many digits always fit into a bigint."""
_STROKED, _PLAIN = "øłđħıØŁĐĦ", "oldhiOLDH"
"""Letters with a stroke or without a dot. Unicode has no decomposition for them."""


def fold(word: str) -> str:
    """A word without accents and capitals."""
    bare = re.sub(f"[{_MARKS}]", "", unicodedata.normalize("NFKD", word))
    return bare.translate(str.maketrans(_STROKED, _PLAIN)).lower()


def folded(expression: str) -> str:
    """SQL of a text without accents and capitals. Most texts are ASCII, and folding the others takes 10 µs each."""
    bare = f"regexp_replace(normalize(whole, NFKD), '[{_MARKS}]', '', 'g')"
    plain = (
        f"case when octet_length(whole) = length(whole) then whole else translate({bare}, '{_STROKED}', '{_PLAIN}') end"
    )
    computed_once = f"(select {expression} as whole offset 0)"
    return f"(select lower({plain}) from {computed_once} said)"  # noqa: S608 - our own columns


def number_in(word: str) -> int:
    """The number that a word is, as the number of a person. 0, which nobody has, if it is none."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _DIGITS else 0
