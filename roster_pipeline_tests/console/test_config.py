"""The console's settings of the environment, and where somebody goes after the sign-in."""

from pathlib import Path

import pytest

from roster_pipeline.console import config
from roster_pipeline.console.config import Oidc, config_from
from roster_pipeline.console.pages.sign_in import local_path
from roster_pipeline.settings.installation import ConsoleVariables, InstallationError

MICROSOFT = "https://login.microsoftonline.com/0000/v2.0"


def test_settings_from_the_environment() -> None:
    given = {"ROSTER_OIDC_ISSUER": MICROSOFT, "ROSTER_OIDC_CLIENT_ID": "id", "ROSTER_OIDC_CLIENT_SECRET": "secret"}
    found = config_from(ConsoleVariables.read(given), "postgresql://x")
    assert found.oidc == Oidc(MICROSOFT, "id", "secret")
    assert found.mail_links is False
    assert "secret" not in repr(found)
    assert (
        config_from(ConsoleVariables.read(given | {"ROSTER_CONSOLE_MAIL_LINKS": "on"}), "postgresql://x").mail_links
        is True
    )
    assert config_from(ConsoleVariables(), "postgresql://x", port=9).url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ROSTER_OIDC_ISSUER": MICROSOFT}, "ROSTER_OIDC_CLIENT_ID"),
        ({"ROSTER_OIDC_ISSUER": "http://login.example.org"}, "https"),
        ({"ROSTER_CONSOLE_URL": "http://roster.example.org"}, "without encryption"),
        ({"ROSTER_CONSOLE_URL": "roster.example.org"}, "not the address"),
        ({"ROSTER_CONSOLE_URL": "https://roster.example.org/console"}, "not the address"),
        ({"ROSTER_CONSOLE_PROXIES": "*"}, "list of addresses"),
        ({"ROSTER_CONSOLE_PROXIES": "127.0.0.1, 0.0.0.0/0"}, "list of addresses"),
        ({"ROSTER_CONSOLE_PROXIES": "proxy.example.org"}, "list of addresses"),
        ({"ROSTER_CONSOLE_IDLE_MINUTES": "soon"}, "whole number"),
        ({"ROSTER_CONSOLE_MAIL_LINKS": "perhaps"}, "neither on nor off"),
    ],
)
def test_settings_that_would_not_be_safe_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(InstallationError, match=said):
        config_from(ConsoleVariables.read(given), "postgresql://x")


def test_listening_for_others_needs_an_address_with_encryption() -> None:
    with pytest.raises(InstallationError, match="it needs its public address"):
        config_from(ConsoleVariables(), "postgresql://x", host="0.0.0.0")
    assert config_from(ConsoleVariables(console_url="https://r.example.org/"), "x", host="0.0.0.0").secure


def test_nobody_is_sent_elsewhere_after_the_sign_in() -> None:
    evil = "https://evil.example", "//evil.example", "//[evil", "/\\evil.example", "javascript:alert(1)"
    for asked_for in (*evil, "/sign-out", "", "/a\n/b", "x"):
        assert local_path(asked_for) == "/", asked_for


def test_a_link_leads_to_the_console_that_began_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell beside `roster dev --console-port 9090` does not know the port."""
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.delenv(config.URL, raising=False)
    assert config.config_of_installation().url == "http://127.0.0.1:8080"
    config.keep_address(config.config_from(ConsoleVariables(), "", port=9090))
    assert config.config_of_installation().url == "http://127.0.0.1:9090"
    monkeypatch.setenv(config.URL, "https://console.example.org")
    assert config.config_of_installation().url == "https://console.example.org", "what is set comes first"
