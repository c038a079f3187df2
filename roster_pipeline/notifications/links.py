"""Addresses that a mail may link to: pages of the Dagster UI, and of the console where there is one."""

from __future__ import annotations

import re

from roster_pipeline.notifications.blocks import Link


def web_address(url: str | None, path: str = "") -> str | None:
    """The address, and a page below it, if it is one that a mail may link to."""
    whole = f"{(url or '').rstrip('/')}{path}"
    return whole if re.match(r"https?://[^\s\"'<>]+$", whole) else None


def page_links(console_url: str | None, path: str, text: str) -> tuple[Link, ...]:
    """One link to a page of the console; none where there is no console."""
    url = web_address(console_url, path)
    return (Link(text, url),) if url else ()
