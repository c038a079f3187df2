"""People who join a district after its first day."""

import random

from roster_pipeline.simulator.names import FAMILY_NAMES, FAMILY_SLUGS, GIVEN_NAMES, GIVEN_SLUGS
from roster_pipeline.simulator.person import CONTACT_ROLES, STUDENT, Person, Role


def newcomer(seed: int, domain: str, row: int, sourced_id: str, role: str, org: str) -> Person:
    """The record of a newcomer with this role in this org; the same row in the same district is always the same
    person."""
    chance = random.Random(f"{seed}/newcomer/{row}")  # noqa: S311 - invented people, no secret
    given, family = chance.randrange(len(GIVEN_NAMES)), chance.randrange(len(FAMILY_NAMES))
    login = f"{GIVEN_SLUGS[given]}.{FAMILY_SLUGS[family]}{row}"
    is_contact = role in CONTACT_ROLES
    host = "mail.example" if is_contact else f"{'pupils' if role == STUDENT else 'staff'}.{domain}"
    return Person(
        row,
        sourced_id,
        "active",
        "",
        GIVEN_NAMES[given],
        FAMILY_NAMES[family],
        (Role(role, org),),
        username="" if is_contact else login,
        email=f"{login}@{host}",
        sms=f"+1 202 555 01{chance.randrange(100):02d}" if is_contact else "",
        identifier="" if is_contact else f"{900_000 + row}",
        state_id="" if is_contact else f"{9_000_000_000 + row}",
        enabled=not is_contact,
        grades=(chance.choice(("06", "07", "08", "09", "10")),) if role == STUDENT else (),
    )
