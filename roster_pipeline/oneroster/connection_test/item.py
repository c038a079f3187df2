"""One line of Test Your Information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from roster_pipeline.oneroster.collections.reading import Batch


@dataclass(frozen=True)
class CheckItem:
    """One line. ok: True green, False red, None for what is only information. remedy is empty where none is needed."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "remedy": self.remedy}


class Watcher(Protocol):
    """Sees what a test reads. start: the data are read from the beginning, perhaps once more. take: one batch."""

    def start(self) -> None: ...
    def take(self, batch: Batch) -> None: ...
