"""Calls providers of other protocols through LiteLLM, which knows them.

LiteLLM takes its own settings as keyword arguments too, such as an address to send our key to. So
only parameters of the protocol are handed over as arguments; all others travel in the body.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from experiments.core.endpoints import Endpoint
from experiments.core.provider_addresses import AddressRefusedError
from experiments.core.text import find_unstorable, storable_value
from experiments.gateway.errors import Status, UpstreamError
from experiments.gateway.litellm_errors import translated
from experiments.services.provider_addresses import refuse_resolved_address

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


def load() -> Any:
    """LiteLLM, with nothing sent home."""
    import litellm  # noqa: PLC0415 - takes seconds, and many installations never need it

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


class LiteLLMDoor:
    async def complete(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        """The answer to a call that does not stream. Raises UpstreamError."""
        answer = await self._call(endpoint, key, body)
        return _storable(answer.model_dump(exclude_none=True))

    async def stream(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Each chunk, as it comes. Raises UpstreamError."""
        chunks = await self._call(endpoint, key, body)
        try:
            while True:
                async with asyncio.timeout(endpoint.first_token_seconds):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield _storable(chunk.model_dump(exclude_none=True))
        except TimeoutError:
            raise UpstreamError(
                Status.FIRST_TOKEN_TIMEOUT,
                f"The provider sent nothing for {endpoint.first_token_seconds:g} s.",
            ) from None
        except UpstreamError:
            raise
        except Exception as error:
            raise translated(error, endpoint, key) from None
        finally:
            await _close(chunks)

    async def _call(self, endpoint: Endpoint, key: str | None, body: dict[str, Any]) -> Any:
        known = {name: value for name, value in body.items() if name in PARAMETERS}
        extra = {name: value for name, value in body.items() if name not in PARAMETERS}
        try:
            await refuse_resolved_address(endpoint.base_url)
            litellm = await asyncio.to_thread(load)
            async with asyncio.timeout(endpoint.total_seconds):
                return await litellm.acompletion(
                    **known,
                    **({"extra_body": extra} if extra else {}),
                    api_key=key,
                    api_base=endpoint.base_url or None,
                    timeout=endpoint.total_seconds,
                    num_retries=0,
                    max_retries=0,
                )
        except AddressRefusedError as error:
            raise UpstreamError(Status.UNREACHABLE, str(error)) from None
        except TimeoutError:
            message = f"No answer within {endpoint.total_seconds:g} s."
            raise UpstreamError(Status.TOTAL_TIMEOUT, message) from None
        except Exception as error:
            raise translated(error, endpoint, key) from None


def _storable(data: dict[str, Any]) -> dict[str, Any]:
    return data if find_unstorable(data, numbers=True) is None else storable_value(data)


async def _close(chunks: Any) -> None:
    """Ends the provider's stream too: LiteLLM's wrapper passes the wish on only when asked."""
    for stream in (chunks, getattr(chunks, "completion_stream", None)):
        if close := getattr(stream, "aclose", None):
            with suppress(Exception):
                await close()
