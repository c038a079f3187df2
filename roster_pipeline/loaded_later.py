"""Modules that are loaded when they are first used. Some take seconds to load, and most uses of a program do not need
them. So a module that needs them imports them at its top as usual, but no names from them: `tenants.get_school`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module that is not loaded yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or sys.modules.get(self.__name__) is self:
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class _Finder(MetaPathFinder, Loader):
    def __init__(self, later: Callable[[str], bool]) -> None:
        self.later = later

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if self.later(name) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Later(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to do before somebody uses it."""


@contextmanager
def loaded_later(later: Callable[[str], bool]) -> Iterator[None]:
    """Modules that are imported in this block are loaded when they are used. later: whether this concerns a module.

    `importlib.util.LazyLoader` leaves its modules in `sys.modules`, and in Python 3.11 two threads that use one for the
    first time can see it half loaded. Here a thread that imports the module waits for the import, as usual."""
    finder = _Finder(later)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Later)]:
            del sys.modules[name]
            parent, _, own = name.rpartition(".")
            vars(sys.modules.get(parent, finder)).pop(own, None)
