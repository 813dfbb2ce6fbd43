"""Calls go to allowed addresses only, by number or by a name that resolves to one."""

import asyncio
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from experiments.core.endpoints import Endpoint, Protocol
from experiments.gateway.errors import UpstreamError
from experiments.gateway.litellm_client import LiteLLMDoor
from experiments.gateway.openai_client import OpenAIDoor, new_session
from experiments.models import ProviderEndpoint

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
METADATA = "http://169.254.169.254/v1"
# Names and spellings that the system's resolver turns into a refused address, without a network.
SPELLINGS = ["http://0xa9fea9fe/v1", "http://2852039166/v1", "http://169.254.43518/v1"]


def call(base_url: str, protocol: Protocol = Protocol.OPENAI) -> str:
    endpoint = Endpoint("e", protocol, base_url, total_seconds=5.0, connect_seconds=1.0)

    async def run() -> None:
        if protocol is Protocol.LITELLM:
            await LiteLLMDoor().complete(endpoint, "key", {**BODY, "model": "openai/m"})
            return
        async with new_session() as session:
            await OpenAIDoor(session).complete(endpoint, "key", BODY)

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(run())
    return caught.value.message


@pytest.mark.parametrize("base_url", [METADATA, *SPELLINGS])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_metadata_address_is_never_called(base_url: str, protocol: Protocol) -> None:
    assert "169.254.169.254 is a link-local or metadata address" in call(base_url, protocol)


def test_a_private_address_needs_the_setting(settings: Any) -> None:
    assert "PROVIDER_PRIVATE_NETWORKS" in call("http://192.168.77.77:9/v1")
    settings.PROVIDER_PRIVATE_NETWORKS = ["192.168.77.0/24"]
    assert "PROVIDER_PRIVATE_NETWORKS" in call("http://192.168.78.77:9/v1")


@pytest.mark.parametrize("base_url", [METADATA, "http://10.0.0.1/v1", "http://[fe80::1]/v1"])
def test_it_cannot_be_saved_either(base_url: str, db: None) -> None:
    with pytest.raises(ValidationError) as caught:
        ProviderEndpoint(name="new", base_url=base_url).full_clean()
    assert set(caught.value.message_dict) == {"base_url"}


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:11434/v1", "http://localhost:8000/v1"])
def test_a_local_model_can_be_saved(base_url: str, db: None) -> None:
    ProviderEndpoint(name="new", base_url=base_url).full_clean()
