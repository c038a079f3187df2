"""The quality gate of the model: which archivals wait because the roster is too bad.

It has the rules of severity error that the records of this SIS can break: there are people, a number is real and of one
identity, most people have both names, most e-mails are addresses, most grades are known.
"""

from collections.abc import Iterable

from roster_pipeline_tests.invariants.identities import MEMBER, STRONGEST, Identity, strength
from roster_pipeline_tests.invariants.sis_state import Record

FEW = 2
"""One or two records are never a share."""
NUMBERS_UNIQUE = NUMBERS_USABLE = 0.99
EMAILS_VALID = GRADES_KNOWN = NAMES_PRESENT = 0.80
WHY = "quality"


def held_by_quality(seeming: list[Identity]) -> dict[tuple[str, str], str]:
    """(role, "archive") of each role that a rule fails for; "*" if nobody is there at all.

    seeming: the identities by evidence alone.
    """
    members = [(record, identity) for identity in seeming for record in identity.records if _role(record, identity)]
    if not members:
        return {("*", "archive"): WHY}
    held: dict[tuple[str, str], str] = {}
    for role in STRONGEST:
        of_role = [(record, identity) for record, identity in members if _role(record, identity) == role]
        numbered = [(record, identity) for record, identity in of_role if record.number]
        mailed = [record for record, _ in of_role if record.email or record.unreadable("email")]
        graded = [record for record, _ in of_role if record.source_grade and role == "student"]
        shared = sum(_shares_number(record, identity, members) for record, identity in numbered)
        unreal = sum(record.unreadable("number") for record, _ in of_role)
        nameless = [sum(getattr(record, name) is None for record, _ in of_role) for name in ("given", "family")]
        unusable = sum(record.unreadable("email") for record in mailed)
        unknown = sum(record.unreadable("grade") for record in graded)
        if (
            _fails(len(numbered), shared, NUMBERS_UNIQUE)
            or _fails(len(of_role), unreal, NUMBERS_USABLE)
            or any(_fails(len(of_role), missing, NAMES_PRESENT) for missing in nameless)
            or _fails(len(mailed), unusable, EMAILS_VALID)
            or _fails(len(graded), unknown, GRADES_KNOWN)
        ):
            held[role, "archive"] = WHY
    return held


def _role(record: Record, identity: Identity) -> str | None:
    """The rostered role of this one record in the school, if it has one."""
    rank, group = strength(record, identity.school, identity.rules)
    return STRONGEST[group] if rank == MEMBER else None


def _shares_number(record: Record, identity: Identity, members: Iterable[tuple[Record, Identity]]) -> bool:
    number = identity.numbered(record)
    return any(other is not identity and other.numbered(theirs) == number for theirs, other in members)


def _fails(tested: int, failed: int, share: float) -> bool:
    return failed > FEW and tested - failed < share * tested
