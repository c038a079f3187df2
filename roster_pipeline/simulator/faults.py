"""Deviations from the standard, switched on and off by name while the simulator runs.

A fault is `name` or `name=value`. What exists stands in `fault_table.py`; the modules that serve a request ask
`faults.value(...)` or `faults.on(...)` at the place where a real server would go wrong.
"""

import difflib
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import NamedTuple

Value = str | int | float | bool


class Fault(NamedTuple):
    """One row of the table: `values` says what may stand behind `=`, empty for a plain switch; quirks are the numbers
    it imitates."""

    name: str
    does: str
    values: str = ""
    quirks: tuple[int, ...] = ()

    def allows(self, value: Value) -> bool:
        """Whether the value is one of those listed, a number where `N` stands, or any text where a word in capitals
        stands."""
        if not self.values:
            return value is True
        for choice in self.values.split("|"):
            if choice == "N" and isinstance(value, int | float) and not isinstance(value, bool):
                return True
            if choice == str(value) or (_is_placeholder(choice) and not isinstance(value, bool) and value != ""):
                return True
        return False


def _is_placeholder(choice: str) -> bool:
    """Whether any text may stand here: a word in capitals longer than the `N` of a number (`GD` is a value)."""
    return choice.isalpha() and choice.isupper() and choice not in ("N", "GD")


class UnknownFaultError(ValueError):
    """No such fault, or not with this value."""


class Faults:
    """The faults that are on. Safe across threads; counters start anew whenever a fault is set."""

    def __init__(self, known: Mapping[str, Fault], *start: str) -> None:
        self.known = known
        self._on: dict[str, Value] = {}
        self._since: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.revision = 0
        self.set(*start)

    def set(self, *specs: str, **values: Value) -> None:
        """Switch on, as text (`"page_cap=100"`, `"nulls"`) or by keyword (`page_cap=100`, `nulls=True`); False
        switches off."""
        wanted = dict(map(self._read, specs)) | values
        for name, value in wanted.items():
            if value is not False:
                self._check(name, value)
            elif name not in self.known:
                self._check(name, True)
        with self._lock:
            for name, value in wanted.items():
                self._counts.pop(name, None)
                if value is False:
                    self._on.pop(name, None)
                else:
                    self._on[name] = value
                    self._since[name] = monotonic()
            self.revision += 1

    def clear(self, *names: str) -> None:
        """Switch the named faults off, or all of them."""
        for name in names:
            if name not in self.known:
                self._check(name, True)
        with self._lock:
            for name in names or tuple(self._on):
                self._on.pop(name, None)
                self._counts.pop(name, None)
            self.revision += 1

    def on(self, name: str, value: Value | None = None) -> bool:
        """Whether the fault is on, or on with just this value."""
        return name in self._on and (value is None or str(self._on[name]) == str(value))

    def value(self, name: str) -> Value | None:
        """The value of the fault, None if it is off."""
        return self._on.get(name)

    def text(self, name: str) -> str:
        """The value as text, empty if the fault is off."""
        return "" if name not in self._on else str(self._on[name])

    def number(self, name: str, default: int = 0) -> int:
        """The value as a whole number, `default` if the fault is off or has none."""
        value = self._on.get(name)
        return default if value is None or isinstance(value, bool | str) else int(value)

    def names(self, name: str) -> frozenset[str]:
        """The value as a comma list."""
        return frozenset(part.strip() for part in self.text(name).split(",") if part.strip())

    def count(self, name: str) -> int:
        """Count one event for this fault: 1 for the first since it was set."""
        with self._lock:
            self._counts[name] += 1
            return self._counts[name]

    def seconds_on(self, name: str) -> float:
        """How long the fault has been on."""
        return monotonic() - self._since.get(name, monotonic())

    def active(self) -> dict[str, Value]:
        """All faults that are on."""
        return dict(self._on)

    def _read(self, spec: str) -> tuple[str, Value]:
        name, separator, text = spec.partition("=")
        if not separator:
            fault = self.known.get(name)
            choices = fault.values.split("|") if fault and fault.values else []
            return name, (choices[0] if choices and choices[0] != "N" and not _is_placeholder(choices[0]) else True)
        if self._lists(name, text):
            return name, text
        return name, text == "on" if text in ("on", "off") else _number_or_text(text)

    def _lists(self, name: str, choice: str) -> bool:
        fault = self.known.get(name)
        return fault is not None and choice in fault.values.split("|")

    def _check(self, name: str, value: Value) -> None:
        fault = self.known.get(name)
        if fault is None:
            near = difflib.get_close_matches(name, self.known, n=3)
            raise UnknownFaultError(
                f"no fault is called {name!r}" + (f"; did you mean {', '.join(near)}?" if near else "")
            )
        if not fault.allows(value):
            raise UnknownFaultError(f"{name} takes {fault.values or 'no value'}, not {value!r}")


def _number_or_text(text: str) -> Value:
    return int(text) if text.lstrip("-").isdecimal() else text


def table(faults: Iterable[Fault]) -> dict[str, Fault]:
    """Faults by name, each name once."""
    found: dict[str, Fault] = {}
    for fault in faults:
        if fault.name in found:
            raise ValueError(f"the fault {fault.name} stands twice in the table")
        found[fault.name] = fault
    return found
