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
INSTANTS, AS_TEXT, BY_DAY = "instants", "as_text", "by_day"
"""How a server compares dates: as instants (the standard), as text, or their days only."""


class FilterSyntaxError(ValueError):
    """The expression does not follow the grammar."""


class Clause(NamedTuple):
    """`field predicate 'value'`; a doubled quote in the value is one quote."""

    field: str
    predicate: str
    value: str


class Filter(NamedTuple):
    """Clauses and the operators between them."""

    clauses: tuple[Clause, ...]
    operators: tuple[str, ...] = ()


def parse_filter(text: str, most_clauses: int = MOST_CLAUSES) -> Filter:
    """Read an expression; FilterSyntaxError if it breaks the grammar."""
    pieces = JOIN.split(text)
    clauses = []
    for place in range(0, len(pieces), 2):
        piece = pieces[place] + ("'" if place < len(pieces) - 1 else "")
        match = CLAUSE.match(piece)
        if match is None:
            raise FilterSyntaxError("malformed filter")
        clauses.append(Clause(match[1], match[2], match[3].replace("''", "'")))
    if len(clauses) > most_clauses:
        raise FilterSyntaxError(f"a filter has at most {most_clauses} clauses")
    return Filter(tuple(clauses), tuple(pieces[1::2]))


def values_at(record: Any, path: Sequence[str]) -> list[Any]:
    """All values at a dot path; each element of a list on the way is followed."""
    values = [record]
    for name in path:
        items = [item for value in values for item in (value if isinstance(value, list) else (value,))]
        values = [item[name] for item in items if isinstance(item, dict) and name in item]
    return values


def clause_test(clause: Clause, dates_as: str = INSTANTS) -> Callable[[Any], bool]:
    """A test of one record. An absent field is the empty text."""
    path = clause.field.split(".")
    if path[-1] in DATE_FIELDS and dates_as != AS_TEXT:
        wanted = instant(clause.value)
        if wanted is None:
            raise FilterSyntaxError(f"{clause.field} is compared with a text that is not a date")
        limit: Any = _day(wanted) if dates_as == BY_DAY else wanted

        def dated(record: Any) -> bool:
            moments = [moment for value in values_at(record, path) if (moment := instant(str(value))) is not None]
            dates = [_day(moment) for moment in moments] if dates_as == BY_DAY else moments
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


def filter_test(expression: Filter, dates_as: str = INSTANTS, left_to_right: bool = True) -> Callable[[Any], bool]:
    """A test of one record for the whole expression; AND before OR unless `left_to_right`."""
    tests = [clause_test(clause, dates_as) for clause in expression.clauses]
    operators = expression.operators
    groups: list[list[Callable[[Any], bool]]] = [[]]  # joined by OR, the tests of each by AND
    for operator, test in zip(("AND", *operators), tests, strict=True):
        if operator == "OR":
            groups.append([])
        groups[-1].append(test)

    def holds(record: Any) -> bool:
        if left_to_right:
            value = tests[0](record)
            for operator, test in zip(operators, tests[1:], strict=True):
                value = (value and test(record)) if operator == "AND" else (value or test(record))
            return value
        return any(all(test(record) for test in group) for group in groups)

    return holds


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
