"""Humans who are easily confused; in each pair, at least one value tells them apart."""

from roster_pipeline_tests.invariants.sis_state import Record, SisState

KINDS = ("sibling", "namesake", "twin", "parent", "heir", "namesake_id", "successor", "swap_ids", "swap_ids")
FAR = 6
"""Years between the grades of namesakes."""


def appear(sis: SisState, kind: str, pick: int, other: int) -> None:
    """Make one of these today, if there is somebody for it."""
    here, left = sis.here(), sis.left()
    school = sis.schools[other % len(sis.schools)]
    if kind in ("heir", "namesake_id", "successor"):
        free = [r for r in left if r.number and r.truth not in sis.alike and r.sourced_id not in sis.confirmed]
        free = [r for r in free if len(sis.kinds[r.truth]) == 1]
        if kind == "successor":
            free = [r for r in free if r.email and r.username]
        if free:
            _inherit(sis, kind, free[pick % len(free)], school)
    elif kind == "swap_ids":
        able = [r for r in here if r.number and r.truth not in sis.alike and r.sourced_id not in sis.confirmed]
        able = [r for r in able if len(sis.kinds[r.truth]) == 1]
        if able:
            _swap(sis, able, able[pick % len(able)], other)
    elif here:
        _resemble(sis, kind, here[pick % len(here)], school, numbered=bool(other % 2))


def _resemble(sis: SisState, kind: str, of: Record, school: str, *, numbered: bool) -> None:
    """A brother or sister, one whom only the middle name tells apart, a namesake some years younger or older, or father
    or mother, with one e-mail."""
    if kind == "sibling":
        sis.look_alike(school, of.roles[0][0], numbered=numbered, family=of.family, email=of.email)
    elif kind == "twin":
        if of.middle is not None and of.truth not in sis.alike:
            names = {"given": of.given, "family": of.family, "middle": f"Twin{of.middle}", "email": of.email}
            new = sis.look_alike(school, of.roles[0][0], numbered=numbered, grade=of.grade, master=None, **names)
            sis.alike |= {of.truth, new.truth}
    elif of.grade is not None and sis.kinds[of.truth] == {"student"} and of.truth not in sis.alike:
        names = {"given": of.given, "family": of.family, "email": of.email}
        if kind == "namesake":
            grade = of.grade + FAR if of.grade <= FAR else of.grade - FAR
            new = sis.look_alike(school, "student", numbered=numbered, grade=grade, **names)
        else:
            new = sis.look_alike(school, "teacher", numbered=numbered, **names)
        sis.alike |= {of.truth, new.truth}


def _inherit(sis: SisState, kind: str, left: Record, school: str) -> None:
    """Somebody with the given name of a leaver gets their number, or their sourcedId; a stranger gets both."""
    group = left.roles[0][0]
    if kind == "heir":
        sis.look_alike(school, group, numbered=True, given=left.given, number=left.number)
    else:
        same = {"given": left.given} if kind == "namesake_id" else {"number": left.number}
        sis.give_away(left, school, group, **same)


def _swap(sis: SisState, able: list[Record], one: Record, other: int) -> None:
    """Two people of one kind who never had each other's number."""
    others = [
        r
        for r in able
        if r.truth != one.truth
        and sis.kinds[r.truth] == sis.kinds[one.truth]
        and not sis.numbers[r.truth] & sis.numbers[one.truth]
    ]
    if others:
        sis.swap_ids(one, others[other % len(others)])
