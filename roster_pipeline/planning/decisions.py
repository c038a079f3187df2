"""The decision table: what happens to an identity of the roster, given what the directory says about its person.

The table is read from the top; the first row that fits decides. A row without an action is not in the plan: the
identity has a role that is not rostered or a record that we could not use, and is no active member of this school.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roster_pipeline.frames import Flags

Words = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Situation:
    """One value per identity of the snapshot that is not gone.

    conflict: it is not clear who it is. role_off, org_below, unknown_org, unreadable: no effective role here, because
    the SIS role is not rostered, the record names an org below the school, it names no listed school, or it could not
    be used. known: matched to a person. excluded: the person is excluded from the sync.

    member, active, archived_by_hand: the membership in this school. member_role_off: that membership has a role that is
    not rostered. auto_update: the setting of the role. differs: fields or role. links: a link is new, the home link
    moves, or the sync takes over a membership. relinks: as links, for a person whom this connection knew before.
    arrives: the home link moves here from another connection. contacts_off: a stored contact must be removed.
    restores_by_hand: the school lets the sync restore people who were archived by hand.
    """

    conflict: Flags
    role_off: Flags
    org_below: Flags
    unknown_org: Flags
    unreadable: Flags
    known: Flags
    excluded: Flags
    member: Flags
    active: Flags
    archived_by_hand: Flags
    member_role_off: Flags
    auto_update: Flags
    differs: Flags
    links: Flags
    relinks: Flags
    arrives: Flags
    contacts_off: Flags
    restores_by_hand: Flags


def decide(s: Situation) -> tuple[Words, Words]:
    """Action and reason of each identity; None for those that are not in the plan. Conflicts get their reason later."""
    no_role = s.role_off | s.org_below | s.unknown_org | s.unreadable
    theirs = s.active & ~s.member_role_off
    archived = s.member & ~s.active
    table: tuple[tuple[Flags, str | None, str | None], ...] = (
        (s.conflict & (~no_role | theirs), "conflict", None),
        (no_role & ~theirs, None, None),
        (no_role & s.excluded, "skip", "excluded"),
        (s.role_off, "skip", "role_off"),
        (s.org_below, "skip", "org_below"),
        (s.unknown_org, "skip", "unknown_org"),
        (s.unreadable, "skip", "rejected_record"),
        (~s.known, "create", "joined"),
        (s.excluded, "skip", "excluded"),
        (~s.member, "create", "joined_school"),
        (s.member_role_off, "skip", "role_off"),
        (archived & s.archived_by_hand & ~s.restores_by_hand, "skip", "archived_by_hand"),
        (archived & s.archived_by_hand, "restore", "returned_by_hand"),
        (archived, "restore", "returned"),
        (s.arrives, "update", "home_moved"),
        (s.differs & s.auto_update, "update", "changed"),
        (s.relinks, "update", "relinked"),
        (s.links, "update", "linked"),
        (s.contacts_off, "update", "contacts_off"),
        (s.differs, "skip", "auto_update_off"),
        (np.ones_like(s.conflict), "unchanged", "equal"),
    )
    fits = [row[0] for row in table]
    place = np.argmax(np.stack(fits), axis=0)
    actions: Words = np.array([row[1] for row in table], dtype=object)[place]
    reasons: Words = np.array([row[2] for row in table], dtype=object)[place]
    return actions, reasons
