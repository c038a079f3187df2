"""Fills in forms as a browser does: all fields of a page, then the changes of a person."""

from html.parser import HTMLParser
from typing import Any


class _Fields(HTMLParser):
    """The fields of every form whose action ends as wanted."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action, self.inside = action, False
        self.fields: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.select = self.text = self.error = ""
        self.buffer: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = a.get("action", "").endswith(self.action)
        if tag == "p" and a.get("class") == "error":
            self.error, self.buffer = a["id"].removesuffix("-error"), []
        if not self.inside:
            return
        name = a.get("name", "")
        if tag == "input" and name and (a.get("type") != "checkbox" or "checked" in a):
            self.fields[name] = a.get("value", "on")
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select and ("selected" in a or self.select not in self.fields):
            self.fields[self.select] = a["value"]
        elif tag == "textarea":
            self.text, self.buffer = name, []

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "select":
            self.select = ""
        elif tag == "textarea" and self.text:
            self.fields[self.text], self.text = "".join(self.buffer), ""
        elif tag == "p" and self.error:
            self.errors[self.error], self.error = "".join(self.buffer).removeprefix("Error: ").strip(), ""

    def handle_data(self, data: str) -> None:
        self.buffer.append(data)


def fields_of(html: str, action: str = "/settings/connection") -> dict[str, str]:
    """The fields that a browser would send; boxes only if they are ticked."""
    return _read(html, action).fields


def errors_in(html: str) -> dict[str, str]:
    """Field to the message next to it."""
    return _read(html, "").errors


def changed(fields: dict[str, str], **changes: Any) -> dict[str, str]:
    """The fields with some changes: `school__students__rostered=True`; None removes a field."""
    result = dict(fields)
    for name, value in changes.items():
        field = name.replace("__", "-")
        if value is None or value is False:
            result.pop(field, None)
        else:
            result[field] = "on" if value is True else str(value)
    return result


def _read(html: str, action: str) -> _Fields:
    reader = _Fields(action)
    reader.feed(html)
    reader.close()
    return reader
