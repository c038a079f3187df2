"""Dates of roles and enrollments: ISO's notation, and others where what came leaves no doubt about them.

6/7/2026 is a day in June for some and in July for others. One date with a day above 12 settles it for all that are
written that way; without one, or where two dates contradict each other, such a date is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from roster_pipeline.oneroster.records.coercion import UNREADABLE, day, text

_YEAR_FIRST = re.compile(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:[T ].*)?$")
_YEAR_LAST = re.compile(r"^(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:[T ].*)?$")
_DAY_AND_NAME = re.compile(r"^(\d{1,2})[ .-]+([A-Za-z]{3,9})[ .,-]+(\d{4})$")
_NAME_AND_DAY = re.compile(r"^([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})$")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOST_MONTHS = 12
_MOST_KEPT = 4096

DAY_FIRST, MONTH_FIRST = "day first", "month first"


class Dates:
    """The dates of one source. `learn` from as many as there are before the first one is read.

    contradicted: a date was read in one way, and another that came later says the other.
    """

    def __init__(self) -> None:
        self.contradicted = False
        self._orders: dict[str, set[str]] = {}
        self._relied_on: dict[str, str] = {}
        self._read: dict[str, Any] = {}

    def learn(self, written: Iterable[Any]) -> None:
        """Look at dates as they came, for those that settle whether the day or the month comes first."""
        before = {separator: set(orders) for separator, orders in self._orders.items()}
        for one in written:
            match = _YEAR_LAST.match(one.strip()) if isinstance(one, str) else None
            if match and (order := _order(int(match[1]), int(match[3]))):
                self._orders.setdefault(match[2], set()).add(order)
        if self._orders != before:
            self._read.clear()
            self.contradicted |= any(self._orders[sep] != {order} for sep, order in self._relied_on.items())

    def day(self, value: Any) -> Any:
        """A date as YYYY-MM-DD, None where there is none, UNREADABLE where it is none or may be two."""
        if type(value) is not str:
            value = text(value)
            if not isinstance(value, str):
                return value
        known = self._read.get(value, self)
        if known is self:
            if len(self._read) >= _MOST_KEPT:
                self._read.clear()
            known = self._read[value] = self._day(value)
        return known

    def _day(self, written: str) -> Any:
        iso = day(written)
        if iso is not UNREADABLE:
            return iso
        written = written.strip()
        if match := _YEAR_FIRST.match(written):
            return _date(int(match[1]), int(match[2]), int(match[3]))
        if match := _DAY_AND_NAME.match(written):
            return _date(int(match[3]), _month(match[2]), int(match[1]))
        if match := _NAME_AND_DAY.match(written):
            return _date(int(match[3]), _month(match[1]), int(match[2]))
        match = _YEAR_LAST.match(written)
        if not match:
            return UNREADABLE
        one, separator, other, year = int(match[1]), match[2], int(match[3]), int(match[4])
        order = _order(one, other)
        if order is None and one != other:
            order = self._relied(separator)
            if order is None:
                return UNREADABLE
        return _date(year, one, other) if order == MONTH_FIRST else _date(year, other, one)

    def _relied(self, separator: str) -> str | None:
        """Which comes first in dates with this separator; with full stops it is the day, unless a date says no."""
        orders = self._orders.get(separator) or ({DAY_FIRST} if separator == "." else set())
        if len(orders) != 1:
            return None
        return self._relied_on.setdefault(separator, next(iter(orders)))


def _order(one: int, other: int) -> str | None:
    """Which of the two numbers must be the day; None where either may be."""
    if one > _MOST_MONTHS:
        return DAY_FIRST if other <= _MOST_MONTHS else None
    return MONTH_FIRST if other > _MOST_MONTHS else None


def _month(name: str) -> int:
    """The number of an English month, 0 for another word."""
    return _MONTHS.index(name[:3].lower()) + 1 if name[:3].lower() in _MONTHS else 0


def _date(year: int, month: int, number: int) -> Any:
    try:
        return date(year, month, number).isoformat()
    except ValueError:
        return UNREADABLE
