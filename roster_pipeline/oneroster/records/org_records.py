"""Orgs as one kind of record; the type is kept as it came, because servers call schools by many names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import ID_NULLS, NO_TEXTS, UNREADABLE, reference, references, text
from roster_pipeline.oneroster.records.user_records import reject, status_text

_NAMES = ("sourcedId", "status", "name", "type", "identifier", "parent", "dateLastModified")
_FOLDED = {folded(name): name for name in _NAMES} | {"parentsourcedid": "parent"}


def orgs_of(records: Sequence[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Normalised orgs and rejects of one page."""
    orgs: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    for record in records:
        org = one_org(record, rejects)
        if org is not None:
            orgs.append(org)
    parents = _parents(records)
    for org in orgs if parents else ():
        org["parent"] = org["parent"] or parents.get(org["sourcedId"])
    return orgs, rejects


def _parents(records: Sequence[Any]) -> dict[str, str]:
    """Parents by child, from orgs of a page that name their children."""
    found: dict[str, str] = {}
    for record in records:
        if isinstance(record, dict) and record.get("children"):
            parent = text(record.get("sourcedId"), ID_NULLS)
            if isinstance(parent, str):
                found.update(dict.fromkeys(references(record["children"], ",;")[0], parent))
    return found


def one_org(record: Any, rejects: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One normalised org, or None and a reject. A parent that cannot be read is no parent."""
    if not isinstance(record, dict):
        rejects.append(reject(None, "orgs", "record", "not-an-object"))
        return None
    members = {_FOLDED.get(folded(name), name): value for name, value in record.items()}
    members |= {name: record[name] for name in _NAMES if name in record}
    sourced_id = text(members.get("sourcedId"), ID_NULLS)
    if not isinstance(sourced_id, str):
        rule = "sourced-id-missing" if sourced_id is None else "sourced-id-unreadable"
        rejects.append(reject(None, "orgs", "sourcedId", rule))
        return None
    org: dict[str, Any] = {"sourcedId": sourced_id}
    for name in ("name", "type", "identifier", "dateLastModified"):
        value = text(members.get(name), NO_TEXTS) if name == "name" else text(members.get(name))
        if value is UNREADABLE:
            rejects.append(reject(sourced_id, "orgs", name, "not-a-text", "warning"))
            value = None
        org[name] = value
    org["status"] = status_text(members.get("status"))
    parent = reference(members.get("parent"))
    org["parent"] = parent if isinstance(parent, str) else None
    return org
