"""Records and values that were not used, each with its sourcedId, field and rule. Never with the value."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import pyarrow as pa

from roster_pipeline.frames import REJECTED_COLUMNS, Array, Flags, blanks, column_of, strings

Severity = Literal["error", "warning"]
"""error: the record is not used. warning: the value is dropped or noted, the record is used."""

RULES: dict[str, str] = {
    "missing_name": "has neither a given nor a family name",
    "single_name": "has only one of given and family name",
    "name_too_long": "has a name that is too long to be one",
    "unknown_status": "has a status the standard does not know",
    "unmapped_role": "has no role that this school maps to students, teachers, staff or admins",
    "duplicate_sourced_id": "the same sourcedId came more than once; the newest was used",
    "invalid_email": "the e-mail address is not valid and was dropped",
    "invalid_phone": "the phone number cannot be dialled and was dropped",
    "unknown_grade": "the grade is not one we know; the original is kept",
    "shared_email": "several people share this e-mail; it identifies none of them",
    "shared_username": "several people share this user name, capitals aside",
    "same_name_and_email": "another record has this name and e-mail, but number, role or grade says that it is "
    "somebody else; they are two people",
    "number_shared": "people of whom too little else agrees share this number",
    "unresolved_agent": "names a contact that was not delivered",
    "many_contacts": "has more contacts than a student usually has",
    "unknown_contact_value": "has a value that no contact rule knows, so nobody calls this contact",
    "many_students": "is the contact of more students than a parent usually has",
}
"""Every rule of cleaning, with its meaning for people."""


class Rejections:
    """Collects the notes of one cleaning. The frame comes out sorted, so the order of notes does not matter."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._frames: list[pd.DataFrame] = []

    def note(
        self, where: Flags, sourced_ids: Array, field: str, rule: str, severity: Severity, roles: Array | None = None
    ) -> None:
        """Note a rule for the records where the flag is set."""
        if not where.any():
            return
        mask = pa.array(where)
        ids = sourced_ids.filter(mask)
        self._frames.append(
            pd.DataFrame(
                {
                    "collection": self._collection,
                    "sourced_id": column_of(ids),
                    "field": field,
                    "rule": rule,
                    "severity": severity,
                    "role": column_of(blanks(len(ids)) if roles is None else roles.filter(mask)),
                }
            )
        )

    def frame(self) -> pd.DataFrame:
        """Columns of `REJECTED_COLUMNS`."""
        return joined_rejections(self._frames)


def joined_rejections(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Several frames of rejections as one, sorted."""
    filled = [frame[list(REJECTED_COLUMNS)] for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame({name: column_of(blanks(0)) for name in REJECTED_COLUMNS})
    merged = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]
    text = {name: column_of(strings(merged[name])) for name in REJECTED_COLUMNS}
    return pd.DataFrame(text).sort_values(["collection", "sourced_id", "field", "rule"], ignore_index=True)
