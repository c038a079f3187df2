"""Grades as codes of the Common Education Data Standards (CEDS, "entry grade level"), the original kept beside them."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, filled, on_distinct

CEDS = ("IT", "PR", "PK", "TK", "KG", *(f"{year:02}" for year in range(1, 14)), "PS", "UG", "AE", "OTHER")
"""Youngest first: of several grades of one student the highest counts."""

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
"""Spreadsheets and JSON numbers make 9.0 of 9."""
_NO_ONE_YEAR = re.compile(r"\d[\W_]+\d|(?:^|\s)[-\u2212]\d")
"""Two numbers are two grades, and a negative one is some system's own code: without its sign it would be another."""
_BETWEEN = "\x1f"


def clean_grades(raw: Array) -> tuple[Array, Array, Flags]:
    """Lists of grades to one code each, the original beside it, and where something given is no grade we know."""
    joined = pc.binary_join(raw, pa.scalar(_BETWEEN, TEXT)).cast(TEXT)
    told = on_distinct(joined, lambda some: pa.array([_highest(text) for text in some.to_pylist()], TEXT))
    source = on_distinct(joined, lambda some: pa.array([_shown(text) for text in some.to_pylist()], TEXT))
    return told, source, filled(source) & ~filled(told)


def ceds(grade: str) -> str | None:
    """One grade's code, or None."""
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
    known = [code for code in map(ceds, _parts(text)) if code]
    return max(known, key=CEDS.index) if known else None


def _shown(text: str | None) -> str | None:
    return ", ".join(_parts(text)) or None
