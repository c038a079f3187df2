"""Bad input: one clear message that names the school, the thing and the remedy; nothing in the directory changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from roster_pipeline.sync.monitoring import watch
from roster_pipeline_tests.district import SECRET, District


def _state(district: District) -> list[object]:
    with district.database.begin() as conn:
        tables = ("person", "link", "membership", "contact", "change_log")
        return [
            conn.scalar(text(f"select md5(string_agg(t::text, '|' order by t::text)) from {name} t")) for name in tables
        ]


def _wrong_secret(district: District) -> None:
    district.set_connection(secret="not the secret")


def _wrong_school(district: District) -> None:
    district.set_school("lincoln", school_id="sch-99")


def _wrong_url(district: District) -> None:
    district.set_connection(url=f"{district.base_url}/nowhere", token_url=None)


def _down(district: District) -> None:
    district.set_connection(url="http://127.0.0.1:9/ims/oneroster/v1p1", token_url="http://127.0.0.1:9/token")


def _fault(*specs: str) -> Callable[[District], None]:
    return lambda district: district.sis.faults.set(*specs)


BAD = [
    pytest.param(_wrong_secret, ("sign-in",), id="wrong secret"),
    pytest.param(_wrong_school, ("sch-99", "School ID"), id="wrong School ID"),
    pytest.param(_wrong_url, ("OneRoster",), id="wrong URL"),
    pytest.param(_down, ("",), id="SIS down"),
    pytest.param(_fault("html_with_200"), ("JSON",), id="not JSON"),
    pytest.param(_fault("unauthorized_after=4"), ("",), id="401 in the middle"),
    pytest.param(_fault("endless_pages=fresh", "total_header=off", "link=off"), ("",), id="a page that never ends"),
    pytest.param(_fault("server_error=500"), ("",), id="a server that fails for good"),
    pytest.param(_fault("hide_school=sch-1"), ("School ID",), id="a school that is not shared any more"),
]


@pytest.mark.parametrize(("spoil", "words"), BAD)
def test_bad_input_fails_or_holds_with_one_clear_message_and_changes_nobody(
    district: District, spoil: Callable[[District], None], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    district.add_school()
    district.run_sync()
    assert not district.problems
    leaver = district.people.people_of("sch-1", "student")[0]
    before = _state(district)
    district.people.remove(leaver.sourced_id)
    spoil(district)
    night = district.run_sync()
    assert _state(district) == before
    if district.problems:
        message = district.problems[0]
        assert message.startswith("lincoln: ")
        assert len(message.splitlines()) >= 2, "a message and its remedy"
        assert all(word in message for word in words)
        assert SECRET not in message
        assert "Traceback" not in message
    else:
        assert night["archived"] == 0
        assert night["held"] >= 1


def test_an_empty_answer_holds_everything(district: District) -> None:
    district.add_school()
    district.run_sync()
    before = _state(district)
    district.sis.faults.set("no_share")
    district.run_sync()
    assert _state(district) == before


def test_a_failure_is_alerted_once_and_again_only_after_a_good_night(district: District) -> None:
    district.add_school(report_to=["it@school.example"])
    district.sis.faults.set("html_with_200")
    district.run_sync()
    district.run_sync()
    assert district.count("outbox", "kind = 'alert'") == 1
    assert district.count("failure") == 2
    district.sis.faults.clear()
    district.run_sync()
    watch(district.database, datetime.now(UTC))
    assert district.count("outbox", "kind = 'alert'") == 2, "the all-clear"
    district.sis.faults.set("html_with_200")
    district.run_sync()
    assert district.count("outbox", "kind = 'alert'") == 3
