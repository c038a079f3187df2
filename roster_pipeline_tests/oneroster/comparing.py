"""Two pulls compared: a fault that a forgiving reader does not even notice."""

from __future__ import annotations

from typing import Any

from roster_pipeline_tests.oneroster.client_helpers import Served, Told, told_by
from roster_pipeline_tests.oneroster.odd_server import odd, page


def same_people(served: Served, *faults: str, but: tuple[str, ...] = ()) -> Told:
    """The fault changes nothing in what is told, except for the named fields."""
    before = served.told()
    served.sis.faults.set(*faults)
    after = served.told()
    assert after.complete
    left = {user["sourcedId"]: {k: v for k, v in user.items() if k not in but} for user in before.users}
    right = {user["sourcedId"]: {k: v for k, v in user.items() if k not in but} for user in after.users}
    assert left == right
    return after


def of_people(*people: Any) -> Told:
    with odd(lambda path, query: page(list(people), query) if path == "/users" else None) as client:
        return told_by(client)
