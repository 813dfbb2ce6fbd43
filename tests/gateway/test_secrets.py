"""A provider's key never leaves the environment: no error, log, revision or row contains it."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from django.core.exceptions import ValidationError

from experiments.core.endpoints import Endpoint
from experiments.limits.credentials import CredentialMissingError, key_of, without_secrets
from experiments.models import ProviderEndpoint
from tests.gateway.chats import ask, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import KEY_VARIABLE, LANES, PROVIDER_KEY
from tests.gateway.stub import Stub

ECHO = {"message": f"Incorrect API key: {PROVIDER_KEY}. Also sk-proj-another1234567890."}


@pytest.mark.server
def test_key_that_a_provider_repeats_is_hidden_everywhere(gateway: Gateway, stub: Stub) -> None:
    lane, client = LANES["leaks"], gateway.client()
    heard = []
    for status in (400, 401, 500):
        for call in (ask, stream):
            stub.behave(lane.strong_name, status=status, error=ECHO, times=1)
            with pytest.raises(openai.APIStatusError) as caught:
                call(client, lane.strong_name, extra_headers={"X-Switchyard-Explain": "1"})
            heard.append(caught.value.response.text + str(caught.value.response.headers))
    event = json.dumps({"error": ECHO})
    stub.behave(lane.strong_name, events=[event], times=1)
    with pytest.raises(openai.APIStatusError) as caught:
        stream(client, lane.strong_name)
    heard.append(caught.value.response.text)
    gateway.stored.outcome(caught.value.response.headers["x-switchyard-decision-id"])

    for text in heard:
        assert "[hidden]" in text
        assert PROVIDER_KEY not in text
        assert "sk-proj-another" not in text
    folder = gateway.server.database.parent
    for file in folder.iterdir():
        assert PROVIDER_KEY.encode() not in file.read_bytes(), file.name
    exported = gateway.server.manage("export_config")
    assert KEY_VARIABLE in exported
    assert PROVIDER_KEY not in exported


@pytest.mark.server
def test_redirect_does_not_leak_the_key(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["redirected"]
    other = LANES["plain"].strong_name
    where = {"Location": f"{stub.url}/v1/chat/completions"}
    stub.behave(lane.strong_name, status=307, headers=where, times=1)
    with pytest.raises(openai.InternalServerError):
        ask(gateway.client(), lane.strong_name)
    assert len(stub.calls(lane.strong_name)) == 1
    assert stub.calls(other) == []


@pytest.mark.server
def test_admin_page_shows_where_the_key_is_and_never_the_key(gateway: Gateway) -> None:
    assert PROVIDER_KEY not in httpx.get(f"{gateway.server.url}/api/schema/").text


@pytest.mark.parametrize(
    "values",
    [
        {"api_key_env": "sk-0123456789"},
        {"api_key_env": "SECRET_KEY"},
        {"api_key_env": "DATABASE_URL"},
        {"api_key_file": "sk-0123456789"},
        {"base_url": "https://user:secret@host/v1"},
        {"base_url": "https://host/v1?api_key=secret"},
        {"base_url": "ftp://host/v1"},
    ],
)
def test_key_instead_of_its_name_is_refused(values: dict[str, str], db: None) -> None:
    row = ProviderEndpoint(**{"name": "new", "base_url": "https://host/v1", **values})
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert set(caught.value.message_dict) == set(values)
    assert not any(value in str(caught.value) for value in values.values())


def test_environment(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.PROVIDER_KEY_NAMES = ["SOME_KEY"]
    endpoint = Endpoint("a", base_url="http://h/v1", api_key_env="SOME_KEY")
    with pytest.raises(CredentialMissingError, match="SOME_KEY"):
        key_of(endpoint)
    monkeypatch.setenv("SOME_KEY", " k \n")
    assert key_of(endpoint) == "k"


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "STRIPE_API_KEY", "PGPASSWORD", "PATH", "MY_OPENAI_API_KEY"]
)
def test_other_variables_are_never_read(
    name: str, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "a secret of something else")
    with pytest.raises(CredentialMissingError, match="PROVIDER_KEY_NAMES"):
        key_of(Endpoint("a", base_url="http://h/v1", api_key_env=name))
    row = ProviderEndpoint(name="new", base_url="https://host/v1", api_key_env=name)
    with pytest.raises(ValidationError, match="PROVIDER_KEY_NAMES"):
        row.full_clean()


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "OPENAI_API_KEY_EU", "GEMINI_API_KEY", "PROVIDER_KEY_OURS", "HF_TOKEN"],
)
def test_usual_names_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "k")
    assert key_of(Endpoint("a", base_url="http://h/v1", api_key_env=name)) == "k"


def test_a_pattern_of_the_setting(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.PROVIDER_KEY_NAMES = ["TEAM_*_KEY"]
    monkeypatch.setenv("TEAM_A_KEY", "k")
    assert key_of(Endpoint("a", base_url="http://h/v1", api_key_env="TEAM_A_KEY")) == "k"


def test_file(tmp_path: Path, settings: object) -> None:
    settings.PROVIDER_KEYS_DIRECTORY = str(tmp_path / "keys")  # type: ignore[attr-defined]
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one").write_text("k\n")
    (tmp_path / "outside").write_text("not for you")
    (tmp_path / "keys" / "link").symlink_to(tmp_path / "outside")

    def at(path: Path) -> str | None:
        return key_of(Endpoint("a", base_url="http://h/v1", api_key_file=str(path)))

    assert at(tmp_path / "keys" / "one") == "k"
    for wrong in ("keys/none", "outside", "keys/../outside", "keys/link"):
        with pytest.raises(CredentialMissingError) as caught:
            at(tmp_path / wrong)
        assert "not for you" not in str(caught.value)


def test_endpoint_without_a_key_is_called_without() -> None:
    assert key_of(Endpoint("a", base_url="http://h/v1")) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key abc123 is bad", "key [hidden] is bad"),
        ("Authorization: Bearer abcdefghij", "Authorization: [hidden]"),
        ("gsk_abcdefgh12345", "[hidden]"),
        ("skill-based", "skill-based"),
    ],
)
def test_messages_are_cleaned(text: str, shown: str) -> None:
    assert without_secrets(text, "abc123") == shown
