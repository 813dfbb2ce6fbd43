"""Calls endpoints that speak OpenAI's protocol, over pooled connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from experiments.core.endpoints import Endpoint
from experiments.core.provider_addresses import AddressRefusedError
from experiments.core.text import load_provider_json
from experiments.gateway.errors import Status, UpstreamError
from experiments.gateway.failures import refusal, reported
from experiments.gateway.sse import EventTooLongError, events_of
from experiments.services.provider_addresses import CheckedResolver, refuse_written_address

LONGEST_ANSWER = 64 * 1024 * 1024
LONGEST_ERROR = 64 * 1024
KEPT_SECONDS = 30.0
DONE = b"[DONE]"


def new_session() -> aiohttp.ClientSession:
    """One for a process: connections are kept and used again. No proxy, no cookies."""
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=KEPT_SECONDS, resolver=CheckedResolver()
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class OpenAIDoor:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def complete(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        """The answer to a call that does not stream. Raises UpstreamError."""
        async with self._post(endpoint, key, body, None) as response:
            return _answer(await _read(response, LONGEST_ANSWER), key)

    async def stream(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Each event's data, as it comes. Raises UpstreamError; a stream that stops without saying
        that it is over ends like one that is: whoever reads it knows what is missing."""
        async with self._post(endpoint, key, body, endpoint.first_token_seconds) as response:
            if "event-stream" not in response.content_type:
                data = _answer(await _read(response, LONGEST_ANSWER), key)
                raise reported(data, key) or _malformed("The provider did not stream.")
            try:
                async for event in events_of(response.content.iter_any()):
                    if event == DONE:
                        return
                    yield _answer(event, key)
            except EventTooLongError:
                raise UpstreamError(
                    Status.TOO_LARGE, "The provider sent an event that is too large."
                ) from None

    @asynccontextmanager
    async def _post(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any], silence: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """`silence` is how long the provider may send nothing; None: as long as it may take."""
        timeout = aiohttp.ClientTimeout(
            total=endpoint.total_seconds, sock_connect=endpoint.connect_seconds, sock_read=silence
        )
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
        try:
            refuse_written_address(endpoint.base_url)
            async with self._session.post(
                url,
                data=orjson.dumps(body),
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raw = await _read(response, LONGEST_ERROR)
                    raise refusal(response.status, raw, response.headers, key)
                yield response
        except AddressRefusedError as error:
            raise UpstreamError(Status.UNREACHABLE, str(error)) from None
        except aiohttp.ConnectionTimeoutError:
            message = f"No connection within {endpoint.connect_seconds:g} s."
            raise UpstreamError(Status.CONNECT_TIMEOUT, message) from None
        except aiohttp.SocketTimeoutError:
            raise UpstreamError(
                Status.FIRST_TOKEN_TIMEOUT, f"The provider sent nothing for {silence:g} s."
            ) from None
        except TimeoutError:
            message = f"The answer was not complete within {endpoint.total_seconds:g} s."
            raise UpstreamError(Status.TOTAL_TIMEOUT, message) from None
        except aiohttp.ClientConnectorError:
            raise UpstreamError(
                Status.UNREACHABLE, f"Endpoint '{endpoint.name}' cannot be reached."
            ) from None
        except (aiohttp.ClientError, ConnectionError):
            message = "The provider cut the connection."
            raise UpstreamError(Status.CUT, message) from None


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body. An error's is cut at `most`, an answer's must not be longer."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            if response.status != 200:
                break
            raise UpstreamError(Status.TOO_LARGE, "The provider's answer is too large.")
    return b"".join(chunks)


def _answer(raw: bytes, key: str | None) -> dict[str, Any]:
    data = _parsed(raw)
    if error := reported(data, key):
        raise error
    return data


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        data = load_provider_json(raw)
    except ValueError:
        raise _malformed("The provider's answer is not JSON.") from None
    if not isinstance(data, dict):
        raise _malformed("The provider's answer is not an object.")
    return data


def _malformed(message: str) -> UpstreamError:
    return UpstreamError(Status.MALFORMED, message)
