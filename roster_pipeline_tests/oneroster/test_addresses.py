"""Quirks 1 to 7: the address and the version of the API."""

import pytest

from roster_pipeline.oneroster import NotOneRoster, WrongAddress
from roster_pipeline.oneroster.http.endpoint import roots, segment, system_of, token_urls, understand, with_query
from roster_pipeline_tests.oneroster.client_helpers import Start


def test_q01_token_address_keeps_its_query_and_stands_apart_from_the_api(sis: Start) -> None:
    served = sis("token_path=/campus/oauth2/token", "token_query=appName", prefix="/campus/api")
    token_url = served.thread.base_url + "/campus/oauth2/token?appName=APP"
    pulled = served.pull(base_url=served.url + "/ims/oneroster/rostering/v1p2", token_url=token_url)
    assert pulled.complete
    assert {entry.query for entry in served.requests if entry.method == "POST"} == {"appName=APP"}


def test_q02_a_directory_before_the_root_is_kept(sis: Start) -> None:
    served = sis(prefix="/aeries", versions=("1.1",))
    with served.client(base_url=served.url + "/") as client:
        assert client.connect().root == served.url + "/ims/oneroster/v1p1"
        assert client.version == "1.1"


def test_q03_the_version_stays_the_same_also_when_the_server_fails(sis: Start) -> None:
    served = sis("fails_first=3", versions=("1.1", "1.2"))
    with served.client() as client:
        assert client.version == "1.2"


def test_q03_a_role_letter_in_the_ids_is_left_alone(sis: Start) -> None:
    pulled = sis("id_scheme=role_prefix", versions=("1.1",)).pull()
    assert pulled.complete
    assert all(user["sourcedId"].startswith("s") for user in pulled.of("student"))


def test_q04_a_school_that_is_not_shared_is_not_found(sis: Start) -> None:
    with sis("hide_school=sch-1").client() as client:
        assert client.find_org("sch-1") is None


@pytest.mark.parametrize("field", ["number", "state_id"])
def test_q05_whatever_field_is_the_id_it_is_taken_as_it_stands(sis: Start, field: str) -> None:
    pulled = sis(f"id_field={field}").pull()
    assert pulled.complete
    assert len(pulled.ids) == len(pulled.users)


def test_q06_another_api_of_the_same_vendor_is_named_as_such(sis: Start) -> None:
    with sis("foreign_api").client() as client, pytest.raises(NotOneRoster, match="not of OneRoster"):
        client.connect()


def test_q07_version_1_2_without_rostering_in_its_path_is_found(sis: Start) -> None:
    with sis("plain_v1p2=only").client() as client:
        assert client.version == "1.2"
        assert client.connect().root.endswith("/ims/oneroster/v1p2")


def test_q07_the_payload_decides_the_version_not_the_path(sis: Start) -> None:
    served = sis("plain_v1p2=only")
    with served.client(base_url=served.url + "/ims/oneroster/v1p2/users?limit=5") as client:
        assert client.version == "1.2"


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("sis.example.org", "https://sis.example.org"),
        (" https://SIS.example.org/ ", "https://sis.example.org"),
        ("https://sis.example.org:8443//campus/api/", "https://sis.example.org:8443/campus/api"),
        (
            "https://sis.example.org/app%3D7/ims/oneroster/v1p1/users/",
            "https://sis.example.org/app%3D7/ims/oneroster/v1p1",
        ),
        ("<https://sis.example.org/x>", "https://sis.example.org/x"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
    ],
)
def test_pasted_addresses_are_understood(pasted: str, base: str) -> None:
    assert understand(pasted).base == base


@pytest.mark.parametrize("pasted", ["", "ftp://sis.example.org", "https://", "https://a b/", "https://host:port/"])
def test_what_is_no_address_is_refused(pasted: str) -> None:
    with pytest.raises(WrongAddress):
        understand(pasted)


def test_credentials_in_an_address_are_refused_because_addresses_are_shown() -> None:
    with pytest.raises(WrongAddress, match="user name or password"):
        understand("https://me:secret@sis.example.org")


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("", "/ims/oneroster/rostering/v1p2"),
        ("/x/ims/oneroster/v1p1", "/x/ims/oneroster/v1p1"),
        ("/api/ims/oneroster/v1p1/school", "/api/ims/oneroster/v1p1/school"),
        ("/x/ims/oneroster", "/x/ims/oneroster/rostering/v1p2"),
        ("/x/ims/oneroster/gradebook/v1p2", "/x/ims/oneroster/rostering/v1p2"),
    ],
)
def test_the_likeliest_root_comes_first(path: str, first: str) -> None:
    assert roots(understand("https://sis.example.org" + path), "auto")[0].url == "https://sis.example.org" + first


def test_a_fixed_version_is_tried_first() -> None:
    assert roots(understand("https://sis.example.org"), "1.1")[0].version == "1.1"


def test_tokens_are_looked_for_on_the_sis_itself_only() -> None:
    address = understand("https://sis.example.org/campus/api/ims/oneroster/rostering/v1p2")
    guesses = token_urls(address, roots(address, "auto"))
    assert "https://sis.example.org/campus/oauth2/token" in guesses
    assert all(guess.startswith("https://sis.example.org/") for guess in guesses)


def test_a_pasted_sample_request_limits_nothing(sis: Start) -> None:
    served = sis()
    pulled = served.pull(base_url=served.url + "/ims/oneroster/rostering/v1p2/users?tenant=a&limit=1&Offset=0&filter=x")
    assert pulled.complete
    assert len(pulled.ids) == len(served.sis.district)
    assert not [entry for entry in served.requests if "filter" in entry.query]
    assert all("tenant=a" in entry.query for entry in served.requests_for("/users"))


def test_a_query_of_the_pasted_base_goes_along_with_every_request(sis: Start) -> None:
    served = sis()
    assert served.pull(base_url=served.url + "?tenant=a%2Fb").complete
    assert all("tenant=a%2Fb" in entry.query for entry in served.requests_for("/users"))


def test_ids_become_one_path_segment() -> None:
    assert segment("a/b c|%+") == "a%2Fb%20c%7C%25%2B"
    assert segment("..") == "%2E%2E"


def test_blanks_and_quotes_are_percent_encoded() -> None:
    assert with_query("https://h/x?a=1", [("filter", "role='a b'")]) == "https://h/x?a=1&filter=role%3D%27a%20b%27"


@pytest.mark.parametrize(
    "spelled",
    [
        *(
            "http://sis.example.org/x/ims/oneroster/v1p1",
            "https://SIS.Example.org./x",
            "https://sis.example.org:443/x/",
        ),
        *("https://sis.example.org//x/ims/oneroster/v1p2/users?limit=5", "https://sis.example.org/x/ims/oneroster"),
    ],
)
def test_a_system_is_the_same_however_its_address_is_written(spelled: str) -> None:
    assert system_of(spelled) == system_of("https://sis.example.org/x/ims/oneroster/rostering/v1p2")


@pytest.mark.parametrize(
    "other",
    [
        *("https://test.example.org/x", "https://sis.example.org/test", "https://sis.example.org:8443/x"),
        *("https://sis.example.org/x?school=2", "https://sis.example.org/ims/oneroster/v1p1/x"),
        *("https://sis.example.org", "sftp://sis.example.org/x"),
    ],
)
def test_another_server_tenant_or_query_is_another_system(other: str) -> None:
    assert system_of(other) != system_of("https://sis.example.org/x")


def test_a_folder_of_bundles_is_the_same_however_its_address_is_written() -> None:
    assert system_of("sftp://Files.example.org:22/out//") == system_of("sftp://files.example.org/out")
    assert system_of("sftp://files.example.org/Out") != system_of("sftp://files.example.org/out")
