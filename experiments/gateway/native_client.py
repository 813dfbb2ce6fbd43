"""Calls providers in the client's own protocol, over the pooled connections of `openai_client`."""

from collections.abc import AsyncIterator

import aiohttp

from experiments.core.endpoints import Endpoint, Protocol
from experiments.core.text import load_provider_json
from experiments.gateway.concurrency import ConcurrencyLimiter
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.execution import ProviderClient, SharedClients
from experiments.gateway.litellm_client import LiteLLMDoor
from experiments.gateway.openai_client import LONGEST_ANSWER, OpenAIDoor, read_answer
from experiments.gateway.protocols.model_call import Body
from experiments.gateway.protocols.native import Address, NativeEvent
from experiments.gateway.provider_errors import failure, reported
from experiments.gateway.sse import EventTooLongError, events_of, name_of

DONE = b"[DONE]"


def shared_clients(session: aiohttp.ClientSession) -> SharedClients:
    """The clients of one event loop."""
    direct, litellm = OpenAIDoor(session), LiteLLMDoor()
    clients: dict[Protocol, ProviderClient] = {
        Protocol.OPENAI: direct,
        Protocol.LITELLM: litellm,
    }
    return SharedClients(clients, ConcurrencyLimiter(), NativeDoor(direct, litellm))


class NativeDoor:
    def __init__(self, door: OpenAIDoor, litellm: LiteLLMDoor) -> None:
        self._door = door
        self._litellm = litellm

    async def complete_native(
        self, endpoint: Endpoint, key: str | None, body: Body, to: Address
    ) -> Body:
        if endpoint.protocol is Protocol.LITELLM and to.bearer:
            return _without_errors(await self._litellm.embed(endpoint, key, body), key)
        async with self._door.post(endpoint, key, body, None, to) as response:
            return _checked(await read_answer(response, LONGEST_ANSWER), key)

    async def stream_native(
        self, endpoint: Endpoint, key: str | None, body: Body, to: Address
    ) -> AsyncIterator[NativeEvent]:
        """Yields each event as it arrives. A stream that just stops ends without its last event,
        and its reader knows what is missing."""
        silence = endpoint.first_token_seconds
        async with self._door.post(endpoint, key, body, silence, to) as response:
            try:
                async for event in events_of(response.content.iter_any()):
                    if event.strip() and not event.startswith(DONE):
                        yield _event(event, key)
            except EventTooLongError:
                raise UpstreamError(
                    AttemptStatus.TOO_LARGE, "The provider sent an event that is too large."
                ) from None


def _event(event: bytes, key: str | None) -> NativeEvent:
    raw, name = bytes(event), name_of(event)
    data = _checked(raw, key)
    if name == b"error":
        raise failure(data, key)
    return NativeEvent(name, raw, data)


def _checked(raw: bytes, key: str | None) -> Body:
    try:
        data = load_provider_json(raw)
    except ValueError:
        raise UpstreamError(AttemptStatus.MALFORMED, "The provider's answer is not JSON.") from None
    if not isinstance(data, dict):
        raise UpstreamError(AttemptStatus.MALFORMED, "The provider's answer is not an object.")
    return _without_errors(data, key)


def _without_errors(data: Body, key: str | None) -> Body:
    if error := reported(data, key) or _failed(data, key):
        raise error
    return data


def _failed(data: Body, key: str | None) -> UpstreamError | None:
    """A response of OpenAI's that failed holds its error below `response`."""
    response = data.get("response")
    if data.get("type") == "response.failed" and isinstance(response, dict):
        return failure(response, key, response.get("error") or "The response failed.")
    return None
