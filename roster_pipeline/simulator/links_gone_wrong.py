"""The spellings of a Link header that real servers get wrong."""

import re

from roster_pipeline.simulator.faults import Faults

_TARGET = re.compile(r"<(https?)://([^/>]+)")


def bent_link(faults: Faults, header: str) -> str:
    """The header as `link_target` and `link_style` make it."""
    match faults.text("link_target"):
        case "localhost":
            header = _TARGET.sub("<http://localhost:443", header)
        case "other_host":
            header = _TARGET.sub("<https://roster.elsewhere.example", header)
        case "http":
            header = _TARGET.sub(r"<http://\2", header)
        case "relative":
            header = _TARGET.sub("<", header)
        case "hostless":
            header = _TARGET.sub("<://", header)
        case "port":
            header = _TARGET.sub(lambda match: f"<{match[1]}://{match[2].split(':')[0]}:443", header)
        case "comma":
            header = f"{header}, \t,"
    match faults.text("link_style"):
        case "no_brackets":
            header = header.replace("<", "").replace(">", "")
        case "typographic":
            header = header.replace('"', "''")
        case "garbage":
            header = ";;rel==next"
    return header
