"""Calls providers of other protocols through LiteLLM.

LiteLLM also takes its own settings as keyword arguments, such as an address to send our key to.
So only parameters of the protocol are passed as arguments; all others go into the body."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from experiments.core.endpoints import Endpoint
from experiments.core.provider_addresses import AddressRefusedError
from experiments.core.text import find_unstorable, storable_value
from experiments.gateway.chunks import FINISHED
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.litellm_errors import translated
from experiments.gateway.provider_errors import reported
from experiments.gateway.provider_json import TextJoiner
from experiments.limits.provider_addresses import refuse_resolved_address

PARAMETERS = frozenset(
    (
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    )
)
EMBEDDING_PARAMETERS = frozenset(("model", "input", "dimensions", "encoding_format", "user"))

OWN_TABLES = (
    "LITELLM_OFFLINE_MODE",
    "LITELLM_LOCAL_MODEL_COST_MAP",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS",
)


def load() -> Any:
    """LiteLLM without telemetry and without downloads: prices and headers come with the package."""
    for name in OWN_TABLES:
        os.environ.setdefault(name, "True")
    import litellm  # noqa: PLC0415 - takes seconds, and many installations never need it

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


class LiteLLMDoor:
    async def complete(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        """The response of a call that does not stream. Raises UpstreamError."""
        answer = await self._call(endpoint, key, body)
        return _storable(_checked(answer.model_dump(exclude_none=True), key))

    async def embed(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Embeddings. Raises UpstreamError."""
        answer = await self._call(endpoint, key, body, embeds=True)
        return _storable(answer.model_dump(exclude_none=True))

    async def stream(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yields each chunk as it arrives, then FINISHED. Raises UpstreamError. LiteLLM hides
        comments and pings, so only chunks count as activity."""
        ends_at = time.monotonic() + endpoint.total_seconds
        chunks = None
        joiner = TextJoiner()
        try:
            async with _silence(endpoint, ends_at):
                chunks = await self._call(endpoint, key, body)
            while True:
                async with _silence(endpoint, ends_at):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    yield FINISHED
                    return
                yield _storable(joiner.joined(_checked(chunk.model_dump(exclude_none=True), key)))
        except UpstreamError:
            raise
        except Exception as error:
            raise translated(error, endpoint, key) from None
        finally:
            await _close(chunks)

    async def _call(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any], *, embeds: bool = False
    ) -> Any:
        parameters = EMBEDDING_PARAMETERS if embeds else PARAMETERS
        known = {name: value for name, value in body.items() if name in parameters}
        extra = {name: value for name, value in body.items() if name not in parameters}
        try:
            await refuse_resolved_address(endpoint.base_url)
            litellm = await asyncio.to_thread(load)
            async with asyncio.timeout(endpoint.total_seconds):
                work = litellm.aembedding if embeds else litellm.acompletion
                return await work(
                    **known,
                    **({"extra_body": extra} if extra else {}),
                    api_key=key,
                    api_base=endpoint.base_url or None,
                    timeout=endpoint.total_seconds,
                    num_retries=0,
                    max_retries=0,
                )
        except AddressRefusedError as error:
            raise UpstreamError(AttemptStatus.UNREACHABLE, str(error)) from None
        except TimeoutError:
            message = f"No answer within {endpoint.total_seconds:g} s."
            raise UpstreamError(AttemptStatus.TOTAL_TIMEOUT, message) from None
        except Exception as error:
            raise translated(error, endpoint, key) from None


def _storable(data: dict[str, Any]) -> dict[str, Any]:
    return data if find_unstorable(data, numbers=True) is None else storable_value(data)


@asynccontextmanager
async def _silence(endpoint: Endpoint, ends_at: float) -> AsyncIterator[None]:
    """Raises UpstreamError after `patience` seconds or at the overall deadline."""
    left, patience = ends_at - time.monotonic(), endpoint.first_token_seconds
    try:
        async with asyncio.timeout(min(left, patience)) as timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        if left < patience:
            raise UpstreamError(
                AttemptStatus.TOTAL_TIMEOUT, f"No answer within {endpoint.total_seconds:g} s."
            ) from None
        raise UpstreamError(
            AttemptStatus.FIRST_TOKEN_TIMEOUT, f"The provider sent nothing for {patience:g} s."
        ) from None


def _checked(data: dict[str, Any], key: str | None) -> dict[str, Any]:
    if error := reported(data, key):
        raise error
    return data


async def _close(chunks: Any) -> None:
    """Also closes the provider's stream: LiteLLM's wrapper does not do that by itself."""
    for stream in (chunks, getattr(chunks, "completion_stream", None)):
        if close := getattr(stream, "aclose", None):
            with suppress(Exception):
                await close()
