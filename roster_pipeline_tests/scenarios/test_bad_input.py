"""Bad input: one clear message that names the school, the thing and the remedy; nothing in the directory changes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import text

from roster_pipeline.directory import tenants
from roster_pipeline.sync.monitoring import watch
from roster_pipeline_tests.district import SECRET, District


def _state(district: District) -> list[object]:
    with district.database.begin() as conn:
        tables = ("person", "link", "membership", "contact", "change_log")
        return [
            conn.scalar(text(f"select md5(string_agg(t::text, '|' order by t::text)) from {name} t")) for name in tables
        ]


AWAY = "http://127.0.0.1:9"


def _fault(*specs: str) -> Callable[[District], None]:
    return lambda district: district.sis.faults.set(*specs)


BAD: dict[str, tuple[Callable[[District], None], tuple[str, ...]]] = {
    "wrong secret": (lambda district: district.set_connection(secret="not the secret"), ("sign-in",)),
    "wrong School ID": (lambda district: district.set_school(school_id="sch-99"), ("sch-99", "School ID")),
    "wrong URL": (
        lambda district: district.set_connection(url=f"{district.base_url}/nowhere", token_url=None),
        ("OneRoster",),
    ),
    "SIS down": (lambda district: district.set_connection(url=AWAY, token_url=AWAY), ("",)),
    "not JSON": (_fault("html_with_200"), ("JSON",)),
    "401 in the middle": (_fault("unauthorized_after=4"), ("",)),
    "a page that never ends": (_fault("endless_pages=fresh", "total_header=off", "link=off"), ("",)),
    "a server that fails for good": (_fault("server_error=500"), ("",)),
    "a school that is not shared any more": (_fault("hide_school=sch-1"), ("School ID", "has closed")),
}


def test_bad_input_fails_or_holds_with_one_clear_message_and_changes_nobody(district: District) -> None:
    district.add_school()
    district.run_sync()
    assert not district.problems
    good = district.database.call(tenants.get_connection, "sis")
    before = _state(district)
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    for name, (spoil, words) in BAD.items():
        spoil(district)
        night = district.run_sync()
        assert _state(district) == before, name
        if district.problems:
            message = district.problems[0]
            assert message.startswith("lincoln: "), name
            assert len(message.splitlines()) >= 2, f"{name}: a message and its remedy"
            assert all(word in message for word in words), name
            assert SECRET not in message, name
            assert "Traceback" not in message, name
        else:
            assert night["archived"] == 0, name
            assert night["held"] >= 1, name
        district.set_connection(secret=SECRET, url=good.settings.url, token_url=good.settings.token_url)
        district.execute("update connection set learned = cast(:known as jsonb)", known=json.dumps(good.learned))
        district.set_school(school_id="sch-1")
        district.sis.faults.clear()
    assert district.run_sync()["archived"] == 1, "all of it was put right, and a good night sees who left"


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
