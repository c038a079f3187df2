"""Remedies for readers of the console: the page where something is done, in place of the command that does it. Pure.

Errors are written once, with the command that puts them right. Owners of schools have pages and no shell.
"""

from __future__ import annotations

import re

SYNC, TEST = "Sync now", "Test Your Information"
BUTTONS = {"sync": SYNC, "test-connection": TEST, "school resume": "Resume"}
"""Commands that are one button. The first words of a command, the longest first."""
PAGES = {
    "history": "the page Syncs",
    "hold": "the page Holds",
    "plan": "the page of the plan",
    "person": "the page of the person",
    "people": "the page People",
    "connection": "the page Settings",
    "school": "the page Settings",
    "sis": "the page Settings",
    "access": "the page Access",
    "audit": "the page Audit",
    "rollback": "the page of the sync",
    "run": "the page Preview & run",
}
OPERATOR = "an operator has the command"
"""For commands that are no page: the database, keys, mails of the installation."""
_COMMAND = re.compile(
    r"(?P<lead>\b(?:(?:[Tt]hen )?[Rr]un|try): ?)?`?roster (?P<words>[a-z][a-z-]*(?: [a-z][a-z-]*)?)\b"
    r"(?P<rest>(?:\"[^\"]*\"|[^,;`\n.)]|\.(?!\s|$))*)`?"
)
_COMMANDS = {
    *(name.split()[0] for name in BUTTONS),
    *PAGES,
    *("init", "district", "secrets", "application", "outbox", "console", "web", "dagster", "doctor", "metrics"),
    *("prune", "dev", "demo", "simulator"),
}


def in_console(text: str) -> str:
    """The text with pages and buttons of the console in place of commands. What names no command stays as it is.

    `Then run: roster test-connection oak` becomes `Then press Test Your Information`.
    """
    if "roster " not in text:
        return text
    return _COMMAND.sub(_said, text)


def _said(found: re.Match[str]) -> str:
    words = found["words"]
    first = words.split()[0]
    if first not in _COMMANDS or not (found["lead"] or _marked(found)):
        return found[0]
    lead = found["lead"] or ""
    button = BUTTONS.get(words) or BUTTONS.get(first)
    if button and lead:
        begin = lead.strip(": ").lower().replace("run", "press").replace("try", "press")
        return f"{begin[0].upper() if lead[0].isupper() else begin[0]}{begin[1:]} {button}"
    said = f"press {button}" if button else PAGES.get(first, OPERATOR)
    if not lead:
        return said
    return f"{lead}{said}" if first in PAGES else said[0].upper() + said[1:]


def _marked(found: re.Match[str]) -> bool:
    """Whether a command is set off by a mark, which "the roster sync failed" is not."""
    before = found.string[: found.start()].rstrip(" ")
    return found[0].startswith("`") or before.endswith((":", "("))
