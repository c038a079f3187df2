"""Quirks 52 to 57 and 74 to 86, as far as they concern reading: data are delivered as they are, without conclusions."""

from datetime import UTC, date, datetime

import pytest

from roster_pipeline.oneroster import Client, WitnessReport
from roster_pipeline_tests.oneroster.client_helpers import Served, Start, pulled_by


def pupil(served: Served, number: int = 0) -> str:
    """A student of school 1, by place in the list."""
    return sorted(user["sourcedId"] for user in served.pull().of("student", org="sch-1"))[number]


def asked(client: Client, *people: str, present: str) -> WitnessReport:
    return client.witness(people, "sch-1", (present,))


@pytest.mark.parametrize(
    "fault",
    [
        "accountless_hidden",  # q53
        "half_school=sch-1",  # q81
        "list_omits=5",  # q79
        "grade_hidden=06,07,08,09",  # q78
        "graduates=drop",  # q84
        "between_terms",  # q74 and q79
    ],
)
def test_q53_q74_q78_q79_q81_q84_a_list_that_leaves_people_out_is_contradicted_by_the_witness(
    sis: Start, fault: str
) -> None:
    served = sis()
    before = served.pull()
    served.sis.faults.set(fault)
    after = served.pull()
    gone = sorted({user["sourcedId"] for user in before.of("student", org="sch-1")} - after.ids)
    assert gone or fault.startswith("grade_hidden")
    if fault == "list_omits=5":
        with served.client() as client:
            report = asked(client, *gone, present=after.of("teacher", org="sch-1")[0]["sourcedId"])
        assert set(report.answers.values()) == {"here"}


def test_q54_whatever_role_staff_are_given_is_told(sis: Start) -> None:
    pulled = sis("staff_as=administrator", versions=("1.1",)).pull()
    assert pulled.complete
    assert pulled.of("administrator", org="sch-1")
    assert not sis("staff_as=absent").pull().of("aide")


def test_q55_guardians_that_are_not_delivered_are_unread_not_removed(sis: Start) -> None:
    served = sis("guardians=off")
    pulled = served.pull()
    assert pulled.complete
    assert pulled.proof.unread_roles == ("contact",)
    assert len(served.requests_for("/users/{id}")) <= 50


def test_q55_links_that_are_not_delivered_leave_the_guardians(sis: Start) -> None:
    pulled = sis("agents=off").pull()
    assert pulled.of("guardian", "parent", "relative")
    assert not any(user["agents"] for user in pulled.users)


def test_q75_a_leaver_without_org_is_told_without_one(sis: Start) -> None:
    served = sis(versions=("1.1",))
    one = pupil(served)
    served.sis.district.remove(one, "lose_org")
    pulled = served.pull()
    assert pulled.complete
    assert [entry["org"] for entry in pulled.user(one)["roles"]] == [None]


def test_q77_a_status_says_nothing_about_dates(sis: Start) -> None:
    served = sis()
    one = pupil(served)
    served.sis.district.remove(one, "end_date")
    pulled = served.pull().user(one)
    assert pulled["status"] == "active"
    assert pulled["roles"][0]["endDate"] is not None


def test_q83_a_cold_cache_is_never_complete(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        client.connect()
        learned = client.learned
    served.sis.faults.set("cold_cache=600")
    assert not served.pull(learned=learned).complete


def test_q85_roles_carry_their_dates_and_the_witness_minds_them(sis: Start) -> None:
    served = sis("role_dates=rotate")
    pulled = served.pull()
    today = datetime.now(UTC).date()
    ended = {
        user["sourcedId"]: date.fromisoformat(user["roles"][-1]["endDate"])
        for user in pulled.users
        if all((e["endDate"] or "9") < today.isoformat() for e in user["roles"])
    }
    begins = [
        user["sourcedId"]
        for user in pulled.users
        if all((e["beginDate"] or "") > today.isoformat() for e in user["roles"])
    ]
    assert ended
    assert begins
    with served.client() as client:
        report = client.witness([*ended, *begins], "sch-1", (pulled.users[0]["sourcedId"],), today)
        one = next(user["sourcedId"] for user in pulled.of("student", org="sch-1") if user["sourcedId"] in ended)
        last_day = ended[one]
        then = client.witness([one], "sch-1", (pulled.users[0]["sourcedId"],), last_day)
    assert set(report.answers.values()) == {"elsewhere"}
    assert then.answers == {one: "here"}, "the last day counts, as it does in the roster"


SINGLE = [
    *(("", way, answer) for way, answer in (("mark", "gone"), ("vanish", "gone"), ("lose_org", "elsewhere"))),  # q80
    ("single_users=linger", "vanish", "here"),  # q76
    *((f"enabled={share}", "", "here") for share in ("students_off", "few_off", "always", "all_off")),  # q86
    ("single_users=off", "", "unanswered"),
]
"""A fault, how somebody leaves, and what the SIS then says of them alone."""


@pytest.mark.parametrize(("fault", "way", "answer"), SINGLE)
def test_q76_q80_q86_the_witness_says_what_the_sis_says_of_one_person(
    sis: Start, fault: str, way: str, answer: str
) -> None:
    served = sis(*fault.split())
    one, other = pupil(served), pupil(served, 1)
    if way:
        served.sis.district.remove(one, way)
    pulled = served.pull()
    assert pulled.complete
    assert way != "vanish" or one not in pulled.ids
    with served.client() as client:
        report = asked(client, one, present=other)
    assert report.answers == {one: answer}
    assert report.serves_single_users == (answer != "unanswered")


def test_a_witness_needs_somebody_present(sis: Start) -> None:
    with sis().client() as client:
        assert client.witness(["u-1"], "sch-1", ()).answers == {"u-1": "unanswered"}


def test_one_failed_request_for_somebody_present_is_not_a_proof_against_the_sis(sis: Start) -> None:
    served = sis()
    one, other = pupil(served), pupil(served, 1)
    with served.client() as client:
        assert client.witness([one], "sch-1", ("no/body", other)).answers == {one: "here"}
        assert client.learned["single_users"]


@pytest.mark.parametrize("served_before", [True, False])
def test_a_sync_in_which_single_users_fail_has_no_witness_if_there_was_one(sis: Start, served_before: bool) -> None:
    served = sis()
    one, other = pupil(served), pupil(served, 1)
    with served.client(learned={"single_users": served_before}) as client:
        client.connect()
        served.sis.faults.set("server_error=500")
        report = asked(client, one, present=other)
    assert report.serves_single_users is served_before
    assert report.answers == {one: "unanswered"}


def test_a_witness_that_fails_for_one_person_is_silent_about_that_person(sis: Start) -> None:
    served = sis()
    one, other = pupil(served), pupil(served, 1)
    with served.client() as client:
        pulled_by(client)
        served.sis.faults.set("forbidden=/users/{id}")
        assert asked(client, one, present=other).answers == {one: "unanswered"}


def test_a_record_without_org_is_unclear_if_users_never_name_orgs(sis: Start) -> None:
    served = sis("orgs_empty=all", versions=("1.1",))
    one, other = pupil(served), pupil(served, 1)
    with served.client() as client:
        assert asked(client, one, present=other).answers == {one: "unclear"}
