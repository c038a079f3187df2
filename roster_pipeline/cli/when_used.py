"""Loads the modules that commands use when a command first uses them: help and completion must not wait for the
database's driver, pandas and Dagster, which take seconds.

So the modules of commands import other modules at their top as usual, but no names from them: `tenants.get_school`.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

OURS = "roster_pipeline."
SLOW = ("dagster", "pydantic", "sqlalchemy")
AT_ONCE = ("cli", "errors", "runtime", "runtime.processes", "settings", "settings.fields",
           "vocabulary")  # fmt: skip
"""Our modules without slow imports; `cli` stands for all of its modules but one."""
LATER_OF_CLI = "cli.school_file"


class _WhenUsed(ModuleType):
    """Stands for a module that is not loaded yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or sys.modules.get(self.__name__) is self:
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        own = name.removeprefix(OURS)
        later = own == LATER_OF_CLI or not (own in AT_ONCE or own.startswith("cli."))
        return ModuleSpec(name, self, is_package=True) if name in SLOW or (own != name and later) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _WhenUsed(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to do before somebody uses it."""


@contextmanager
def loaded_when_used() -> Iterator[None]:
    """Modules that are imported in this block are loaded when they are used."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _WhenUsed)]:
            del sys.modules[name]
            parent, _, own = name.rpartition(".")
            vars(sys.modules.get(parent, finder)).pop(own, None)
