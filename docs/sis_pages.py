"""Writes the pages of docs/sis/ from what is publicly known of each SIS: `python docs/sis_pages.py [FOLDER]`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from roster_pipeline.oneroster.presets import SIGN_IN, SUBJECTS, UNKNOWN, Preset, offered, presets

_MADE = "<!-- Made from presets.toml by: python docs/sis_pages.py -->"
_SCHOOL_ID = (
    "Ask the administrator of the SIS for the `sourcedId` of the school's org. Its number (`identifier`) works as well."
)
_NO_CSV = "It is not publicly known whether the SIS exports OneRoster CSV files; many do, so ask its administrator."


def pages() -> dict[str, str]:
    """File name to text of all pages."""
    return {"README.md": _list(presets())} | {f"{preset.name}.md": _page(preset) for preset in presets()}


def write_pages(folder: Path) -> None:
    """Write all pages, and delete those of removed presets."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = pages()
    for file in folder.glob("*.md"):
        if file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def _list(listed: Iterable[Preset]) -> str:
    rows = [
        f"| [{preset.display_name}]({preset.name}.md) | `{preset.name}` | {', '.join(preset.versions) or UNKNOWN} "
        f"| {SIGN_IN[preset.sign_in]} | {preset.page_cap or UNKNOWN} | {'yes' if preset.csv_at else UNKNOWN} |"
        for preset in listed
    ]
    return "\n".join(
        [
            "# Supported SIS",
            "",
            _MADE,
            "",
            "Public facts about each system, with their sources. Choose preset with",
            "`roster connection add --sis NAME`; its page says where to find the values to enter. A system that is not",
            "here is `other`: the client finds out version, sign-in and paging. Without an API, see",
            "[CSV bundles](../csv.md).",
            "",
            "| System | Name | Versions | Sign-in | Largest page | CSV export |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _page(preset: Preset) -> str:
    facts = [
        ("URL", _code(preset.url)),
        ("Token URL", _code(preset.token_url)),
        ("Sign-in", SIGN_IN[preset.sign_in]),
        ("Versions", ", ".join(preset.versions) or UNKNOWN),
        ("Largest page", str(preset.page_cap or UNKNOWN)),
        ("Page size we ask for", str(preset.page_size or 1000)),
        ("Student number", _code(preset.student_number_from)),
        ("Staff number", _code(preset.staff_number_from)),
        ("Primary contact", _code(preset.primary_contact_from)),
        ("Contact rules", ", ".join(map(_code, preset.contact_rules or ())) or UNKNOWN),
    ]
    lines = [f"# {preset.display_name}", "", _MADE, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    if preset.placeholders:
        lines += ["", f"Replace the words in capitals ({', '.join(preset.placeholders)}) with your own."]
    lines += ["", "## Where to find what", ""]
    lines += [f"- **Client ID**: {preset.client_id_at or _ask('Client ID')}"]
    lines += [f"- **Client Secret**: {preset.client_secret_at or _ask('Client Secret')}"]
    lines += [f"- **School ID**: {preset.school_id_at or _SCHOOL_ID}"]
    lines += _section("What the SIS must grant", preset.permissions)
    lines += ["", "## What it delivers", "", "| | |", "|---|---|", "| Students, Teachers | yes |"]
    lines += [f"| {name} | {offered(preset, subject)} |" for subject, name in SUBJECTS.items()]
    lines += ["", "## Instead of the API", ""]
    lines += [f"{preset.csv_at or _NO_CSV} What we read: [CSV bundles](../csv.md)."]
    lines += _section("Known quirks", preset.quirks)
    lines += _section("Sources", [f"[{source.title}]({source.address})" for source in preset.sources])
    return "\n".join([*lines, ""])


def _section(title: str, entries: Iterable[str]) -> list[str]:
    lines = [f"- {entry}" for entry in entries]
    return ["", f"## {title}", "", *lines] if lines else []


def _code(value: str | None) -> str:
    return f"`{value}`" if value else UNKNOWN


def _ask(what: str) -> str:
    return f"Not publicly documented: ask the administrator or the vendor of the SIS for the {what}."


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("sis"))
