"""Which entries of a zip or a folder are the bundle's files: by name, in one folder, and none that leads out of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from roster_pipeline.oneroster.bundle.bundle_errors import BundleUnsafe
from roster_pipeline.oneroster.bundle.opened_bundle import ENROLLMENTS, ENROLLMENTS_NAME, KNOWN_NAMES

_JUNK_FOLDERS = frozenset(("__MACOSX", ".DS_Store"))
_EXPORT_AGAIN = "Export the bundle again: one zip, with its CSV files side by side, and nothing else in it."


def check_name(name: str) -> None:
    """Raise BundleUnsafe for a name that is absolute or leads out of the bundle. Backslashes count as slashes."""
    path = name.replace("\\", "/")
    steps = path.split("/")
    if path.startswith("/") or ":" in steps[0] or ".." in steps or "\0" in path:
        raise BundleUnsafe("The bundle holds a file whose path leads out of it.", _EXPORT_AGAIN)


def pick_files(names: Iterable[str], deepest: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """From all names to {standard name: name in the bundle}, and the base names of all CSV files.

    Names are compared without case. Raises BundleUnsafe where one file is there twice, or where the files lie in
    different folders: which of them belong together cannot be told. Files deeper than `deepest` folders are not seen.
    Enrollments are picked where they lie once, beside the others.
    """
    picked: dict[str, str] = {}
    folders: set[str] = set()
    csv_names: list[str] = []
    enrollments: list[str] = []
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if len(path.parts) - 1 > deepest or _is_junk(path) or path.suffix.lower() != ".csv":
            continue
        csv_names.append(path.name)
        plain = path.name.strip().lower()
        known = KNOWN_NAMES.get(plain)
        if plain == ENROLLMENTS_NAME:
            enrollments.append(name)
        if known is None:
            continue
        if known in picked:
            raise BundleUnsafe(
                f"The bundle holds {known}.csv more than once.",
                "Export one bundle per connection: one zip or folder, with each file once.",
            )
        picked[known] = name
        folders.add(str(path.parent))
    if len(folders) > 1:
        raise BundleUnsafe("The files of the bundle lie in different folders.", _EXPORT_AGAIN)
    if len(enrollments) == 1 and str(PurePosixPath(enrollments[0].replace("\\", "/")).parent) in folders:
        picked[ENROLLMENTS] = enrollments[0]
    return picked, tuple(csv_names)


def _is_junk(path: PurePosixPath) -> bool:
    return path.name.startswith(".") or bool(_JUNK_FOLDERS.intersection(path.parts))
