"""Client Secrets: read from stdin or from a variable, never shown, and encrypted again when the key is rotated."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.fernet import Fernet

from roster_pipeline.cli.commands import read_secret
from roster_pipeline.directory import connection_tests, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import new_key, seal, unseal
from roster_pipeline_tests.cli.conftest import SECRET, Roster
from roster_pipeline_tests.directory.builders import one

ADD = ("connection", "add", "other", "--district", "spring", "--url", "https://sis.example.org")


def stored(database: Database, key: str = "sis") -> str:
    return database.call(tenants.get_connection, key).secret or ""


def test_a_secret_from_stdin_is_kept_sealed_and_never_shown(school: Roster, database: Database) -> None:
    assert SECRET not in stored(database)
    for arguments in (("list",), ("show", "sis"), ("list", "--json"), ("show", "sis", "--json")):
        answer = school("connection", *arguments)
        assert SECRET not in answer.out + answer.err
        assert stored(database) not in answer.out + answer.err


def test_a_secret_on_the_command_line_is_refused(school: Roster) -> None:
    answer = school(*ADD, "--client-secret", SECRET)
    assert answer.code == 2
    assert SECRET not in answer.out + answer.err
    assert [row["key"] for row in school("connection", "list", "--json").data] == ["sis"]


def test_of_a_variable_only_the_name_is_kept(school: Roster, database: Database) -> None:
    assert school(*ADD, "--client-secret-env", "SIS_SECRET").code == 0
    assert stored(database, "other") == "env:SIS_SECRET"


@pytest.mark.parametrize(
    "wrong", [("--client-secret-env", "A B"), ("--client-secret", "-", "--client-secret-env", "A")]
)
def test_a_wrong_source_of_a_secret_is_wrong_usage(school: Roster, wrong: tuple[str, ...]) -> None:
    assert school(*ADD, *wrong, stdin="x\n").code == 2


def test_a_secret_in_another_encoding_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s\udcfc\n"))
    with pytest.raises(typer.BadParameter, match="not in UTF-8"):
        read_secret("-", None, ask=False)


def test_without_a_terminal_nobody_is_asked(school: Roster) -> None:
    answer = school(*ADD, stdin="")
    assert answer.code == 2
    assert "--client-secret-env" in answer.err


def test_a_secret_can_be_replaced(school: Roster, database: Database) -> None:
    before = stored(database)
    assert school("connection", "set", "sis", "--client-secret", "-", stdin="another\n").code == 0
    assert stored(database) != before


def test_rotating_the_key_of_the_folder_seals_anew_and_the_secret_stays(school: Roster, database: Database) -> None:
    path = Path(os.environ["ROSTER_HOME"]) / "secret.key"
    old_key, before = path.read_text(), stored(database)
    os.environ.pop("ROSTER_SECRET_KEY")
    answer = school("secrets", "rotate", "--who", "Ada")
    assert answer.code == 0, answer.err
    assert path.read_text() != old_key
    assert path.stat().st_mode & 0o077 == 0
    assert stored(database) != before
    os.environ["ROSTER_SECRET_KEY"] = path.read_text()
    assert unseal(stored(database)) == SECRET
    assert school("audit", "--json").data[0]["what"] == "secrets rotated"


def test_rotating_seals_the_secrets_of_tests_anew_as_well(school: Roster, database: Database) -> None:
    old, new = os.environ["ROSTER_SECRET_KEY"], new_key()
    with database.begin() as conn:
        oak = tenants.get_school(conn, "oak")
        own: dict[str, Any] = {"settings": oak.connection.settings, "school_settings": oak.settings, "form": {}}
        connection_tests.start(conn, oak, who="Ada", typed_secret=seal("typed"), **own)
        lost = connection_tests.start(
            conn, oak, who="Ada", typed_secret=Fernet(new_key()).encrypt(b"x").decode(), **own
        )
    os.environ["ROSTER_SECRET_KEY"] = f"{new},{old}"
    assert school("secrets", "rotate").code == 0
    os.environ["ROSTER_SECRET_KEY"] = new
    assert unseal(str(one(database, "select secret from connection_test"))) == "typed"
    with database.begin() as conn:
        assert connection_tests.get(conn, oak.id, lost) is None, "what the old key does not open goes with its test"


def test_a_key_of_the_environment_is_rotated_to_the_first_one(school: Roster, database: Database) -> None:
    old, new = os.environ["ROSTER_SECRET_KEY"], new_key()
    alone = school("secrets", "rotate")
    assert alone.code == 1
    assert "NEW,OLD" in alone.err
    os.environ["ROSTER_SECRET_KEY"] = f"{new},{old}"
    assert school("secrets", "rotate").code == 0
    os.environ["ROSTER_SECRET_KEY"] = new
    assert unseal(stored(database)) == SECRET


def test_a_process_that_still_has_the_old_key_stores_no_secret(school: Roster, database: Database) -> None:
    first, second = os.environ["ROSTER_SECRET_KEY"], new_key()
    os.environ["ROSTER_SECRET_KEY"] = f"{second},{first}"
    assert school("secrets", "rotate").code == 0
    os.environ["ROSTER_SECRET_KEY"] = first
    kept = stored(database)
    typing = ("connection", "set", "sis", "--client-secret", "-")
    refused = school(*typing, stdin="another\n")
    assert (refused.code, stored(database)) == (1, kept)
    assert "An operator has to restart it with the new key." in refused.err
    assert school(*ADD, "--client-secret-env", "SIS_SECRET").code == 0, "a reference needs no key"
    os.environ["ROSTER_SECRET_KEY"] = f"{first},{second}"
    assert school("secrets", "rotate").code == 0, "the first key is the current one again"
    os.environ["ROSTER_SECRET_KEY"] = first
    assert school(*typing, stdin="another\n").code == 0
    assert unseal(stored(database)) == "another"


def test_a_fresh_key_is_printed_alone(roster: Roster) -> None:
    assert len(roster("secrets", "new-key").out.strip()) == len(new_key())
