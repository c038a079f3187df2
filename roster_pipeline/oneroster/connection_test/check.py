"""Test Your Information: item by item what works, what does not, and what to do about it. Counts only, no people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.collections.delta import KINDS, PROVED, filter_works
from roster_pipeline.oneroster.collections.pull import pull
from roster_pipeline.oneroster.collections.reading import GROUPS, Batch, Reading, Wanted
from roster_pipeline.oneroster.connection_test.items import (
    CheckItem,
    Watcher,
    completeness,
    disabled,
    fields,
    guardians,
    missing_school,
    not_counted,
    numbers,
    other_roles,
    reference_items,
    role_item,
)
from roster_pipeline.oneroster.connection_test.items import enrollments as enrolled
from roster_pipeline.oneroster.connection_test.items import found_school as _school
from roster_pipeline.oneroster.connection_test.people_counts import PeopleCounts
from roster_pipeline.oneroster.errors import OneRosterError, PagingBroken, Refused, TlsFailed, Unreachable
from roster_pipeline.oneroster.http.address import is_version_1_0
from roster_pipeline.oneroster.http.endpoint import MOST_SKEW
from roster_pipeline.oneroster.http.oauth2 import OAuth2SignIn
from roster_pipeline.oneroster.paging.seen_ids import hashes

KIND_NAMES = {
    "same_day": "changes of one day",
    "membership": "changes of school or role",
    "email": "changes of e-mails",
}
MEMBERSHIP_FROM = {
    "+enrollments": "enrollments",
    "+school-lists": "the school's own lists of students and teachers",
    "+only-school": "the SIS having one school only",
}


def check(
    client: Client,
    school_id: str,
    roles: Iterable[str] = GROUPS,
    *,
    contacts: bool = False,
    per_school: bool = False,
    include_orgs_below: bool = False,
    enrollments: bool = False,
    name: str = "",
) -> list[CheckItem]:
    """Try everything a sync needs. roles: the role groups that are rostered. Never raises for what a server does.

    per_school: read the school's own lists, where the connection is set to; else the whole connection is read once.
    include_orgs_below: orgs below the school count as the school. enrollments: a student without one counts as gone.
    name: what we call the school.
    """
    items = check_items(
        client,
        school_id,
        roles,
        contacts=contacts,
        per_school=per_school,
        include_orgs_below=include_orgs_below,
        enrollments=enrollments,
        name=name,
    )
    return list(items)


def check_items(
    client: Client,
    school_id: str,
    roles: Iterable[str] = GROUPS,
    *,
    contacts: bool = False,
    per_school: bool = False,
    include_orgs_below: bool = False,
    enrollments: bool = False,
    name: str = "",
    watcher: Watcher | None = None,
) -> Iterator[CheckItem]:
    """The same, each item as soon as it is known, for somebody who watches. watcher: sees what is read of people."""
    connected = False
    try:
        for item in _connection(client):
            connected = True
            yield item
        client.habits.ends.clear()  # a person looks: what proves the end of a list is found out afresh
        school = client.find_org(school_id)
        item = _school(school, name) if school is not None else missing_school(list(client.orgs()), school_id, name)
    except OneRosterError as problem:
        yield _failed(_name_of(problem, connected), problem)
        return
    yield item
    if school is None:
        return
    own = (school["sourcedId"],)
    wanted = Wanted(
        own if per_school else None,
        True,
        None,
        frozenset(roles),
        own,
        enrollments=enrollments,
        single_contacts=contacts,
    )
    counts = PeopleCounts(school["sourcedId"], client.clock.now().date(), include_orgs_below=include_orgs_below)
    try:
        yield from _people(client, wanted, counts, watcher, contacts=contacts)
    except OneRosterError as problem:
        yield _failed("People", problem)
        if isinstance(problem, PagingBroken):
            yield from _offset_unit(client)
    yield _delta(client, wanted)
    yield _clock(client)


def _connection(client: Client) -> Iterator[CheckItem]:
    connected = client.connect()
    sign_in = connected.sign_in.learned()
    kind = {"oauth2": "OAuth 2.0", "oauth1": "OAuth 1.0a", "bearer": "static bearer", "open": "none needed"}[
        sign_in["kind"]
    ]
    if isinstance(connected.sign_in, OAuth2SignIn):
        connected.sign_in.renew(connected.sign_in.authorise()[1])
        kind += f", token from {sign_in['token_url'].split('?')[0]}"
    if sign_in["kind"] == "oauth1":
        kind += f" ({sign_in['method'].upper()})"
    encrypted = urlsplit(connected.root).scheme == "https"
    yield CheckItem("Address", True, f"understood as {connected.root}")
    yield CheckItem(
        "Encryption",
        True if encrypted else None,
        "certificate verified" if encrypted else "none; this machine only",
    )
    yield CheckItem("Sign-in", True, kind)
    missing = _missing_scopes(client)
    if missing:
        yield CheckItem(
            "Scopes", None, f"not granted: {', '.join(missing)}", "Grant them in the SIS if a role is missing."
        )
    old = is_version_1_0(connected.root)
    yield CheckItem("Version", True, "OneRoster 1.0, read as 1.1" if old else f"OneRoster {connected.version}")


def _missing_scopes(client: Client) -> list[str]:
    granted, sign_in = client.granted_scopes, client.connect().sign_in
    if granted is None or not isinstance(sign_in, OAuth2SignIn):
        return []
    return [scope.rsplit("/", 1)[-1] for scope in sign_in.form.scope.split() if scope not in granted.split()]


def _people(
    client: Client, wanted: Wanted, counts: PeopleCounts, watcher: Watcher | None, *, contacts: bool
) -> Iterator[CheckItem]:
    def count(batches: Iterable[Batch]) -> None:
        counts.start()
        if watcher is not None:
            watcher.start()
        for batch in batches:
            if watcher is not None:
                watcher.take(batch)
            if batch.kind == "user":
                counts.count(batch.records)
            else:
                counts.note_orgs(batch.records)

    pulled = pull(client, wanted)
    pulled.into(count)
    proof = pulled.proof
    for group in GROUPS:
        yield role_item(counts, proof, group, rostered=wanted.wants(group))
    yield from other_roles(counts)
    yield from not_counted(counts)
    yield from reference_items(counts, proof)
    yield guardians(counts, proof, wanted=contacts)
    yield enrolled(counts, proof, decide=wanted.enrollments, read=wanted.enrollments)
    for source, said in MEMBERSHIP_FROM.items():
        if proof.strategy.endswith(source):
            yield CheckItem("Membership", None, f"users name no school; it is taken from {said}")
    yield disabled(counts)
    yield from numbers(counts)
    yield from fields(counts)
    yield completeness(proof)
    if "total-not-reached" in proof.problems:
        yield from _offset_unit(client)
    yield _page_size(client)
    yield _single_users(client, counts)


def _page_size(client: Client) -> CheckItem:
    asked, used = client.endpoint.page_size, client.habits.limit
    sort = "" if client.habits.sort else "; the SIS does not sort"
    if used is None:
        return CheckItem("Page size", None, "the SIS takes no paging parameters" + sort)
    return CheckItem("Page size", True, (f"{used}" if used == asked else f"{used} instead of {asked}") + sort)


def _single_users(client: Client, counts: PeopleCounts) -> CheckItem:
    name = "Second witness"
    if counts.present is None:
        return CheckItem(name, None, "nobody there to ask for")
    if client.user_answers([counts.present])[counts.present].user is not None:
        return CheckItem(name, True, "single users can be asked for")
    return CheckItem(
        name,
        None,
        "single users cannot be asked for",
        "Archivals rest on the lists alone; grant reading of single users.",
    )


def _delta(client: Client, wanted: Wanted) -> CheckItem:
    reading = Reading(client, wanted, strict=False, started=client.clock.monotonic())
    try:
        works = filter_works(reading)
    except OneRosterError:
        works = False
    if not works:
        return CheckItem("Changes only", None, "not honoured; full pulls are used")
    open_kinds = [KIND_NAMES[kind] for kind in KINDS if kind not in client.learned.get(PROVED, ())]
    if not open_kinds:
        return CheckItem("Changes only", True, "honoured")
    told = f"understood, not yet proved for {', '.join(open_kinds)}; full pulls are used until then"
    return CheckItem("Changes only", None, told)


def _clock(client: Client) -> CheckItem:
    skew = client.session.skew_seconds
    if skew is None:
        return CheckItem("Clock", None, "the SIS does not tell its time")
    if abs(skew) > MOST_SKEW:
        return CheckItem("Clock", False, f"{skew:+.0f} s apart", "Set the clock of the SIS, or of this machine.")
    return CheckItem("Clock", True, f"{abs(skew):.0f} s apart")


def _offset_unit(client: Client) -> list[CheckItem]:
    """Whether `offset` counts pages here: then the second page is at offset 1. Tried in this test only."""
    users = client.collection("/users", "users")
    try:
        first = users.page(client.habits, 0).records
        second = users.page(client.habits, 1).records
    except OneRosterError:
        return []
    if not second or set(hashes(first).tolist()) & set(hashes(second).tolist()):
        return []
    return [
        CheckItem("Paging", False, "offset counts pages, not records", "Tell the vendor; the standard counts records.")
    ]


def _name_of(problem: OneRosterError, connected: bool) -> str:
    if isinstance(problem, TlsFailed):
        return "Encryption"
    if connected:
        return "School"
    if isinstance(problem, Unreachable):
        return "Address"
    return (
        "Sign-in"
        if type(problem).__name__ in ("SignInRefused", "TokenRefused") or isinstance(problem, Refused)
        else "Address"
    )


def _failed(name: str, problem: OneRosterError) -> CheckItem:
    return CheckItem(name, False, problem.message, problem.remedy)
