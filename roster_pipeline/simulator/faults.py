"""The faults: the deviations from the standard that the simulator can show (`faults.toml`), and those that are on.

A module asks for a fault where a real server would deviate. Faults of records are functions in `person_faults.py` and
`json_faults.py`.
"""

import difflib
import threading
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from time import monotonic
from typing import NamedTuple

Value = str | int | float | bool


class Fault(NamedTuple):
    """One row of `faults.toml`, which says what values and quirks are."""

    name: str
    does: str
    values: str = ""
    quirks: Sequence[int] = ()

    def allows(self, value: Value) -> bool:
        """Whether the value is listed, or fits a placeholder."""
        if not self.values:
            return value is True
        for choice in self.values.split("|"):
            if choice == "N" and isinstance(value, int | float) and not isinstance(value, bool):
                return True
            if choice == str(value) or (_takes_any_text(choice) and not isinstance(value, bool) and value != ""):
                return True
        return False


def _takes_any_text(choice: str) -> bool:
    return choice.isalpha() and choice.isupper() and choice != "N"


_ROWS = tomllib.loads(files(__package__).joinpath("faults.toml").read_text("utf-8"))
FAULTS = {name: Fault(name, **row) for name, row in _ROWS.items()}
"""Every fault by its name."""


class UnknownFaultError(ValueError):
    """There is no fault of this name, or it does not take this value."""


class Faults:
    """The faults that are on. Safe across threads. Setting a fault restarts its counter."""

    def __init__(self, *specs: str) -> None:
        self._on: dict[str, Value] = {}
        self._since: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.revision = 0
        self.recent: list[float] = []
        self.set(*specs)

    def set(self, *specs: str, **values: Value) -> None:
        """Switch on by text (`"page_cap=100"`) or keyword (`page_cap=100`); False switches off. Raises
        UnknownFaultError before anything is changed."""
        wanted = dict(map(_read, specs)) | values
        for name, value in wanted.items():
            fault = _fault(name)
            if value is not False and not fault.allows(value):
                raise UnknownFaultError(f"{name} takes {fault.values or 'no value'}, not {value!r}")
        with self._lock:
            for name, value in wanted.items():
                self._counts.pop(name, None)
                if value is False:
                    self._on.pop(name, None)
                else:
                    self._on[name] = value
                    self._since[name] = monotonic()
            self.revision += 1

    def clear(self) -> None:
        with self._lock:
            self._on.clear()
            self._counts.clear()
            self.revision += 1

    def on(self, name: str, value: Value | None = None) -> bool:
        """Whether the fault is on, or is on with exactly this value."""
        return name in self._on and (value is None or str(self._on[name]) == str(value))

    def value(self, name: str) -> Value | None:
        return self._on.get(name)

    def text(self, name: str) -> str:
        """The value as text; empty if the fault is off."""
        return "" if name not in self._on else str(self._on[name])

    def number(self, name: str, default: int = 0) -> int:
        """The value as a whole number; `default` if the fault is off or its value is not a number."""
        value = self._on.get(name)
        return default if value is None or isinstance(value, bool | str) else int(value)

    def names(self, name: str) -> frozenset[str]:
        """The parts of a value that is a comma list; empty if the fault is off."""
        if name not in self._on:
            return frozenset()
        return frozenset(part.strip() for part in self.text(name).split(",") if part.strip())

    def count(self, name: str) -> int:
        """Count one event for this fault. Returns 1 for the first event since the fault was set."""
        with self._lock:
            self._counts[name] += 1
            return self._counts[name]

    def within_first(self, name: str) -> bool:
        """Whether the fault is on and this event is one of the first N since it was set. Counts the event."""
        return name in self._on and self.count(name) <= self.number(name)

    def seconds_on(self, name: str) -> float:
        return monotonic() - self._since.get(name, monotonic())

    def active(self) -> dict[str, Value]:
        return dict(self._on)


def _fault(name: str) -> Fault:
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, n=3)
        raise UnknownFaultError(f"no fault is called {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    return FAULTS[name]


def _read(spec: str) -> tuple[str, Value]:
    """Split `name=value`; a text of digits becomes a number, `on` and `off` True and False unless they are values."""
    name, separator, text = spec.partition("=")
    choices = _fault(name).values.split("|")
    if not separator:
        return name, choices[0] if choices[0] and choices[0] != "N" and not _takes_any_text(choices[0]) else True
    if text in choices:
        return name, text
    if text in ("on", "off"):
        return name, text == "on"
    return name, int(text) if text.lstrip("-").isdecimal() else text
