"""The filter grammar: one clause, or two joined by AND or OR; dot paths; dates as instants.

On arrays `=` means all values of the comma list, `~` any of them.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

CLAUSE = re.compile(r"^\s*([A-Za-z_][A-Za-z0-9_.:-]*)(!=|>=|<=|=|>|<|~)'((?:[^']|'')*)'\s*$")
JOIN = re.compile(r"'\s+(AND|OR)\s+(?=[A-Za-z_])")
DATE_FIELDS = ("dateLastModified",)
MOST_CLAUSES = 2


class FilterSyntaxError(ValueError):
    """The expression does not follow the grammar."""


class Clause(NamedTuple):
    """`field predicate 'value'`; a doubled quote in the value is one quote."""

    field: str
    predicate: str
    value: str


class Filter(NamedTuple):
    """One or two clauses, and the operator between two: AND or OR."""

    clauses: tuple[Clause, ...]
    operator: str = ""


def parse_filter(text: str) -> Filter:
    """Read an expression; FilterSyntaxError if it breaks the grammar."""
    pieces = JOIN.split(text)
    clauses = []
    for place in range(0, len(pieces), 2):
        piece = pieces[place] + ("'" if place < len(pieces) - 1 else "")
        match = CLAUSE.match(piece)
        if match is None:
            raise FilterSyntaxError("malformed filter")
        clauses.append(Clause(match[1], match[2], match[3].replace("''", "'")))
    if len(clauses) > MOST_CLAUSES:
        raise FilterSyntaxError(f"a filter has at most {MOST_CLAUSES} clauses")
    return Filter(tuple(clauses), "".join(pieces[1::2]))


def values_at(record: Any, path: Sequence[str]) -> list[Any]:
    """All values at a dot path; each element of a list on the way is followed."""
    values = [record]
    for name in path:
        items = [item for value in values for item in (value if isinstance(value, list) else (value,))]
        values = [item[name] for item in items if isinstance(item, dict) and name in item]
    return values


def clause_test(clause: Clause, by_day: bool = False) -> Callable[[Any], bool]:
    """A test of one record. An absent field is the empty text. by_day: of dates only the day is compared."""
    path = clause.field.split(".")
    if path[-1] in DATE_FIELDS:
        wanted = instant(clause.value)
        if wanted is None:
            raise FilterSyntaxError(f"{clause.field} is compared with a text that is not a date")
        limit: Any = _day(wanted) if by_day else wanted

        def dated(record: Any) -> bool:
            moments = [moment for value in values_at(record, path) if (moment := instant(str(value))) is not None]
            dates = [_day(moment) for moment in moments] if by_day else moments
            return any(_compare(moment, clause.predicate, limit) for moment in dates)

        return dated

    def plain(record: Any) -> bool:
        values = values_at(record, path)
        if len(values) == 1 and isinstance(values[0], list) and not any(isinstance(v, dict) for v in values[0]):
            return _array_matches(values[0], clause)
        texts = [_text(value) for value in values] or [""]
        if clause.predicate == "!=":
            return all(text != clause.value for text in texts)
        return any(_compare(text, clause.predicate, clause.value) for text in texts)

    return plain


def _array_matches(values: list[Any], clause: Clause) -> bool:
    texts, wanted = {_text(value) for value in values}, {part.strip() for part in clause.value.split(",")}
    if clause.predicate == "~":
        return bool(texts & wanted)
    return (wanted <= texts) == (clause.predicate == "=")


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def filter_test(expression: Filter, by_day: bool = False) -> Callable[[Any], bool]:
    """A test of one record for the whole expression."""
    tests = [clause_test(clause, by_day) for clause in expression.clauses]
    joined = any if expression.operator == "OR" else all
    return lambda record: joined(test(record) for test in tests)


def instant(text: str) -> datetime | None:
    """A date or date-time as an instant; without a zone it is UTC. None if it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _compare(left: Any, predicate: str, right: Any) -> bool:
    match predicate:
        case "=":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case ">":
            return bool(left > right)
        case ">=":
            return bool(left >= right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case _:
            return str(right).lower() in str(left).lower()
