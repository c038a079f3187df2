"""What servers write where they have nothing to say."""

from __future__ import annotations

import pyarrow.compute as pc

from roster_pipeline.cleaning.names import clean_text
from roster_pipeline.frames import Array, on_distinct

ABSENT = r"(?i)^(?:null|\(null\)|none|nil|n/?a|#n/a|undefined|unknown|nan|[-_.?/\s]+)$"
"""Words for an empty cell, in e-mails, phones, usernames and numbers. Names have their own, shorter list."""


def without_null_words(raw: Array) -> Array:
    """Clean text; a word for nothing is missing."""

    def told(texts: Array) -> Array:
        texts = clean_text(texts)
        return pc.if_else(pc.match_substring_regex(texts, pattern=ABSENT), None, texts)

    return on_distinct(raw, told)
