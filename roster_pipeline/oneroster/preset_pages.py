"""The pages of docs/sis/, drawn from the presets: one page per SIS and a list of them all."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from roster_pipeline.oneroster.presets import SUBJECTS, Preset, Subject, presets

SIGN_IN = {
    "auto": "found out by asking",
    "oauth2": "OAuth 2.0 client credentials",
    "oauth1": "OAuth 1.0a",
    "bearer": "static bearer token",
}
UNKNOWN = "not publicly known"
_MADE = "<!-- Made from presets.toml by: python -m roster_pipeline.oneroster.preset_pages docs/sis -->"
_SCHOOL_ID = (
    "Ask the administrator of the SIS for the `sourcedId` of the school's org. Its number (`identifier`) works as well."
)
_NO_CSV = "It is not publicly known whether the SIS exports OneRoster CSV files; many do, so ask its administrator."


def pages() -> dict[str, str]:
    """File name to text, of all pages."""
    return {"README.md": _list(presets())} | {f"{one.name}.md": _page(one) for one in presets()}


def write_pages(folder: Path) -> int:
    """Write all pages, and take away those of presets that are no more. Returns 0, for a command."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, "utf-8")
    return 0


def _list(known: Iterable[Preset]) -> str:
    rows = [
        f"| [{one.display_name}]({one.name}.md) | `{one.name}` | {', '.join(one.versions) or UNKNOWN} "
        f"| {SIGN_IN[one.sign_in]} | {one.page_cap or UNKNOWN} | {'yes' if one.csv_at else UNKNOWN} |"
        for one in known
    ]
    return "\n".join(
        [
            "# Supported SIS",
            "",
            _MADE,
            "",
            "What is publicly known of each system, with its sources. Choose one with",
            "`roster connection add --sis NAME`; its page says where to find the values to enter. A system that is not",
            "here is `other`: version, sign-in and paging are found out by asking. Without an API, see",
            "[CSV bundles](../csv.md).",
            "",
            "| System | Name | Versions | Sign-in | Largest page | CSV export |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _page(one: Preset) -> str:
    facts = [
        ("URL", _code(one.url)),
        ("Token URL", _code(one.token_url)),
        ("Sign-in", SIGN_IN[one.sign_in]),
        ("Versions", ", ".join(one.versions) or UNKNOWN),
        ("Largest page", str(one.page_cap or UNKNOWN)),
        ("Page size we ask for", str(one.page_size or 1000)),
        ("Student number", _code(one.student_number_from)),
        ("Staff number", _code(one.staff_number_from)),
        ("Primary contact", _code(one.primary_contact_from)),
        ("Contact rules", ", ".join(map(_code, one.contact_rules or ())) or UNKNOWN),
    ]
    lines = [f"# {one.display_name}", "", _MADE, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    if one.placeholders:
        lines += ["", f"Replace the words in capitals ({', '.join(one.placeholders)}) by your own."]
    lines += ["", "## Where to find what", ""]
    lines += [f"- **Client ID**: {one.client_id_at or _ask('Client ID')}"]
    lines += [f"- **Client Secret**: {one.client_secret_at or _ask('Client Secret')}"]
    lines += [f"- **School ID**: {one.school_id_at or _SCHOOL_ID}"]
    lines += _section("What the SIS must grant", one.permissions)
    lines += ["", "## What it delivers", "", "| | |", "|---|---|", "| Students, Teachers | yes |"]
    lines += [f"| {name} | {offered(one, subject)} |" for subject, name in SUBJECTS.items()]
    lines += ["", "## In place of the API", ""]
    lines += [f"{one.csv_at or _NO_CSV} What we read of it: [CSV bundles](../csv.md)."]
    lines += _section("Known quirks", one.quirks)
    lines += _section("Sources", [f"[{source.title}]({source.address})" for source in one.sources])
    return "\n".join([*lines, ""])


def offered(one: Preset, subject: Subject) -> str:
    """What is known of one subject, as one line."""
    told = []
    for offer in one.offered(subject):
        of = f" ({', '.join(offer.versions)})" if offer.versions else ""
        told.append(f"{'yes' if offer.given else 'no'}{of}: {offer.says}")
    return " ".join(told) or UNKNOWN


def _section(title: str, entries: Iterable[str]) -> list[str]:
    found = [f"- {entry}" for entry in entries]
    return ["", f"## {title}", "", *found] if found else []


def _code(value: str | None) -> str:
    return f"`{value}`" if value else UNKNOWN


def _ask(what: str) -> str:
    return f"Not publicly documented: ask the administrator or the vendor of the SIS for the {what}."


if __name__ == "__main__":
    sys.exit(write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/sis")))
