"""Test Your Information over REST: each item says whether something works, and what to do if not. Counts only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from roster_pipeline.oneroster import connection_test_items as test_items
from roster_pipeline.oneroster.client import Client
from roster_pipeline.oneroster.collections.delta import KINDS, PROVED, filter_works
from roster_pipeline.oneroster.collections.proof import Proof, SeenIds, hashes
from roster_pipeline.oneroster.collections.pull import pull
from roster_pipeline.oneroster.collections.reading import Reading
from roster_pipeline.oneroster.collections.wanted import GROUPS, Batch, Wanted
from roster_pipeline.oneroster.connection_test_items import CheckItem, Placed, TestedSchool
from roster_pipeline.oneroster.errors import (
    NamedElsewhere,
    OneRosterError,
    PagingBroken,
    Refused,
    SchoolNotFound,
    SignInRefused,
    TlsFailed,
)
from roster_pipeline.oneroster.http.auth import SignIn
from roster_pipeline.oneroster.http.endpoint import MOST_SKEW, is_version_1_0, segment
from roster_pipeline.oneroster.http.oauth2 import OAuth2SignIn
from roster_pipeline.oneroster.people_counts import PeopleCounts
from roster_pipeline.oneroster.presets import SUBJECTS, Preset
from roster_pipeline.vocabulary import counted

SIGN_IN_NAMES = {"oauth2": "OAuth 2.0", "oauth1": "OAuth 1.0a", "bearer": "static bearer", "open": "none needed"}
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
"""The last part of a pull's strategy, and for each the source of the users' schools."""


def check_schools(
    client: Client, schools: Sequence[TestedSchool], *, per_school: bool = False, enrollments: bool = False
) -> Iterator[Placed]:
    """Test everything that a sync needs, for schools of one SIS, which is read once. Yields each item as soon as it is
    known, with the place of its school; never raises for a server's errors.

    per_school: the connection reads the schools' own lists; else it is read as a whole. enrollments: a student without
    an enrollment counts as gone.
    """
    connected = False
    found: dict[int, PeopleCounts] = {}
    try:
        for item in _connection(client):
            connected = True
            yield None, item
        client.habits.ends.clear()  # a test forgets what proved the end of a list before
        client.habits.aligned = client.habits.linked = False
        for place, school in enumerate(schools):
            try:
                org = client.find_org(school.school_id)
            except SchoolNotFound as problem:  # this error is about one school only
                yield place, _failed("School", problem)
                continue
            if org is None:
                yield place, test_items.missing_school_item(list(client.listed_orgs()), school.school_id, school.name)
                continue
            yield place, test_items.school_item(org, school.name)
            found[place] = PeopleCounts(
                org["sourcedId"], client.clock.now().date(), include_orgs_below=school.include_orgs_below
            )
    except OneRosterError as problem:
        yield None, _failed(_failed_part(problem, connected), problem)
        return
    if not found:
        return
    own = tuple(counts.school for counts in found.values())
    wanted = Wanted(
        own if per_school else None,
        True,
        None,
        frozenset().union(*(schools[place].roles for place in found)),
        own,
        enrollments=enrollments,
        single_contacts=any(schools[place].contacts for place in found),
    )
    try:
        yield from _people(client, wanted, {place: (schools[place], counts) for place, counts in found.items()})
    except OneRosterError as problem:
        yield None, _failed("People", problem)
        if isinstance(problem, PagingBroken):
            yield from ((None, item) for item in _offset_unit(client))
    yield None, _delta(client, wanted)
    yield None, _clock(client)


def _connection(client: Client) -> Iterator[CheckItem]:
    connected = client.connect()
    sign_in = connected.sign_in
    learned = sign_in.learned()
    kind = SIGN_IN_NAMES[sign_in.kind]
    if isinstance(sign_in, OAuth2SignIn):
        sign_in.renew(sign_in.authorise()[1])
        kind += f", token from {sign_in.token_url.split('?')[0]}"
    if "method" in learned:
        kind += f" ({learned['method'].upper()})"
    yield CheckItem("Address", True, f"understood as {connected.root}")
    if urlsplit(connected.root).scheme == "https":
        yield CheckItem("Encryption", True, "certificate verified")
    else:
        yield CheckItem("Encryption", None, "none; this machine only")
    yield CheckItem("Sign-in", True, kind)
    missing = ", ".join(_missing_scopes(sign_in))
    if missing:
        yield CheckItem("Scopes", None, f"not granted: {missing}", "Grant them in the SIS if a role is missing.")
    old = is_version_1_0(connected.root)
    yield CheckItem("Version", True, "OneRoster 1.0, read as 1.1" if old else f"OneRoster {connected.version}")


def _missing_scopes(sign_in: SignIn) -> list[str]:
    """The last parts of the scopes that were requested and not granted."""
    if not isinstance(sign_in, OAuth2SignIn) or sign_in.granted is None:
        return []
    return [scope.rsplit("/", 1)[-1] for scope in sign_in.form.scope.split() if scope not in sign_in.granted.split()]


def _people(client: Client, wanted: Wanted, found: Mapping[int, tuple[TestedSchool, PeopleCounts]]) -> Iterator[Placed]:
    everybody = SeenIds()

    def count(batches: Iterable[Batch]) -> None:
        nonlocal everybody
        everybody = SeenIds()
        for school, counts in found.values():
            counts.start()
            if school.watcher is not None:
                school.watcher.start()
        for batch in batches:
            if batch.kind == "user":
                everybody.add(hashes([*batch.records, *batch.rejects]))
            for school, counts in found.values():
                if school.watcher is not None:
                    school.watcher.take(batch)
                if batch.kind == "user":
                    counts.count(batch.records)
                else:
                    counts.note_orgs(batch.records)

    pulled = pull(client, wanted)
    pulled.into(count)
    proof = pulled.proof
    for place, (school, counts) in found.items():
        decide = wanted.enrollments
        yield from ((place, item) for item in people_items(school, counts, proof, decide=decide, read=decide))
        if wanted.school_ids is None:
            yield from ((place, item) for item in _own_list(client, counts.school, everybody))
    yield None, test_items.completeness_item(proof)
    if "total-not-reached" in proof.problems:
        yield from ((None, item) for item in _offset_unit(client))
    yield None, _page_size(client)
    yield None, _single_users(client, [counts.present for _, counts in found.values()])


def people_items(
    school: TestedSchool, counts: PeopleCounts, proof: Proof, *, decide: bool, read: bool
) -> Iterator[CheckItem]:
    """The people of one school. decide, read: see `enrollment_item`."""
    for group in GROUPS:
        yield test_items.role_item(counts, proof, group, rostered=group in school.roles)
    yield from test_items.other_role_items(counts)
    yield from test_items.not_counted_items(counts)
    yield from test_items.reference_items(counts, proof)
    yield test_items.guardian_item(counts, proof, wanted=school.contacts)
    yield test_items.enrollment_item(counts, proof, decide=decide, read=read)
    for ending, place in MEMBERSHIP_FROM.items():
        if proof.strategy.endswith(ending):
            yield CheckItem("Membership", None, f"users name no school, so we take it from {place}")
    yield test_items.disabled_item(counts)
    yield from test_items.number_items(counts)
    yield from test_items.field_items(counts)


def _own_list(client: Client, school: str, everybody: SeenIds) -> list[CheckItem]:
    """Whether the first page of the school's own list of students has people who are not among all users."""
    path, label = f"/schools/{segment(school)}/students", "/schools/{id}/students"
    try:
        listed = client.collection(path, "users", label).page(0).records
    except OneRosterError:
        return []
    missing = len(listed) - int(everybody.has(hashes(listed)).sum())
    if not missing:
        return []
    return [
        CheckItem(
            "School's own list",
            None,
            f"{missing:,} of {counted(len(listed), 'student', 'students')} at {label} are not among all users",
            "People may be missing in the list of all users. Ask the SIS's vendor which of the lists is right.",
        )
    ]


def _page_size(client: Client) -> CheckItem:
    chosen, used = client.endpoint.page_size, client.habits.limit
    sort = "" if client.habits.sort else "; the SIS does not sort"
    if used is None:
        return CheckItem("Page size", None, "the SIS takes no paging parameters" + sort)
    return CheckItem("Page size", True, (f"{used}" if used == chosen else f"{used} instead of {chosen}") + sort)


def _single_users(client: Client, present: Sequence[Mapping[str, str]]) -> CheckItem:
    """present: of each school, the sourcedId of somebody who is in it, by role group."""
    name = "Second witness"
    shown = {group: one for people in reversed(present) for group, one in people.items() if group in GROUPS}
    if not shown:
        return CheckItem(name, None, "the school has nobody to request")
    answers = {group: client.user_answers([one], group)[one].user for group, one in shown.items()}
    missing = [group for group in GROUPS if group in shown and answers[group] is None]
    if not missing:
        return CheckItem(name, True, "single users can be requested")
    if len(missing) == len(shown):
        remedy = "Archivals depend on the lists alone. Grant reading of single users."
        return CheckItem(name, None, "single users cannot be requested", remedy)
    roles = ", ".join(test_items.ROLE_NAMES[group] for group in missing)
    remedy = "Their archivals may have to wait. Grant reading of single users of every role."
    return CheckItem(name, None, f"single users can be requested, but not of: {roles}", remedy)


def _delta(client: Client, wanted: Wanted) -> CheckItem:
    reading = Reading(client, wanted, strict=False, started=client.clock.monotonic())
    try:
        works = filter_works(reading)
    except OneRosterError:
        works = False
    if not works:
        return CheckItem("Changes only", None, "not honoured; full pulls are used")
    unproved = ", ".join(KIND_NAMES[kind] for kind in KINDS if kind not in client.learned.get(PROVED, ()))
    if not unproved:
        return CheckItem("Changes only", True, "honoured")
    return CheckItem("Changes only", None, f"understood, not yet proved for {unproved}; full pulls are used until then")


def _clock(client: Client) -> CheckItem:
    skew = client.session.skew_seconds
    if skew is None:
        return CheckItem("Clock", None, "the SIS does not tell its time")
    if abs(skew) > MOST_SKEW:
        return CheckItem("Clock", False, f"{skew:+.0f} s apart", "Set the clock of the SIS, or of this machine.")
    return CheckItem("Clock", True, f"{abs(skew):.0f} s apart")


def _offset_unit(client: Client) -> list[CheckItem]:
    """Whether `offset` counts pages at this server: then offset 1 gives the second page. Only this test tries it."""
    users = client.collection("/users", "users")
    try:
        first = users.page(0).records
        second = users.page(1).records
    except OneRosterError:
        return []
    if not second or set(hashes(first).tolist()) & set(hashes(second).tolist()):
        return []
    return [
        CheckItem("Paging", False, "offset counts pages, not records", "Tell the vendor; the standard counts records.")
    ]


def _failed_part(problem: OneRosterError, connected: bool) -> str:
    """The item that an error belongs to. connected: the items of the connection are green."""
    if isinstance(problem, TlsFailed):
        return "Encryption"
    if connected:
        return "School"
    at_sign_in = isinstance(problem, SignInRefused | Refused) and not isinstance(problem, NamedElsewhere)
    return "Sign-in" if at_sign_in else "Address"


def _failed(name: str, problem: OneRosterError) -> CheckItem:
    return CheckItem(name, False, problem.message, problem.remedy)


def with_what_is_known(items: Iterator[Placed], sis: Preset) -> Iterator[Placed]:
    """The items. Items that are not green also have the known facts about this version of the SIS."""
    version = None
    for place, item in items:
        if item.name == "Version":
            version = "1.2" if "1.2" in item.detail else "1.1"
        subject = next((subject for subject, name in SUBJECTS.items() if name == item.name), None)
        facts = [one.says for one in sis.offered(subject, version)] if subject and item.ok is not True else []
        known = f"Known of {sis.display_name}: {' '.join(facts)}" if facts else ""
        yield place, replace(item, remedy=f"{item.remedy} {known}".strip())
