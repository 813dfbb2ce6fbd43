"""Calls endpoints with OpenAI's protocol, over pooled connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from experiments.core.endpoints import Endpoint
from experiments.core.provider_addresses import AddressRefusedError
from experiments.core.text import load_provider_json, storable_value
from experiments.gateway.chunks import FINISHED, as_chunk
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.protocols.native import Address
from experiments.gateway.provider_errors import failure, refusal, reported
from experiments.gateway.provider_json import TextJoiner
from experiments.gateway.sse import BYTE_ORDER_MARK, EventTooLongError, events_of, name_of
from experiments.limits.provider_addresses import CheckedResolver, refuse_written_address

LONGEST_ANSWER = 64 * 1024 * 1024
LONGEST_ERROR = 64 * 1024
KEPT_SECONDS = 30.0
DONE = b"[DONE]"


def new_session() -> aiohttp.ClientSession:
    """One per process: connections are pooled. No proxy, no cookies."""
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
        """The response of a call that does not stream. Raises UpstreamError."""
        async with self.post(endpoint, key, body, None) as response:
            return _answer(await read_answer(response, LONGEST_ANSWER), key)

    async def stream(
        self, endpoint: Endpoint, key: str | None, body: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yields each event's data as it arrives, and FINISHED once the provider ends its stream
        properly. Raises UpstreamError; a stream that just stops ends without FINISHED, and its
        reader knows what is missing. Any byte counts as activity, comments included."""
        async with self.post(endpoint, key, body, endpoint.first_token_seconds) as response:
            pieces = response.content.iter_any()
            start = await _start(pieces)
            if start[:1] in (b"{", b"[", b"<"):
                yield as_chunk(_answer(await read_answer(response, LONGEST_ANSWER, start), key))
                yield FINISHED
                return
            try:
                async for data in _chunks(_again(start, pieces), key):
                    yield data
            except EventTooLongError:
                raise UpstreamError(
                    AttemptStatus.TOO_LARGE, "The provider sent an event that is too large."
                ) from None

    @asynccontextmanager
    async def post(
        self,
        endpoint: Endpoint,
        key: str | None,
        body: dict[str, Any],
        silence: float | None,
        to: Address | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """`silence` is how long the provider may send nothing; None means no limit. Without an
        address, it is a chat call. Raises UpstreamError."""
        timeout = aiohttp.ClientTimeout(
            total=endpoint.total_seconds, sock_connect=endpoint.connect_seconds, sock_read=silence
        )
        url = f"{endpoint.base_url.rstrip('/')}/chat/completions" if to is None else to.url
        try:
            refuse_written_address(url)
            async with self._session.post(
                url,
                data=orjson.dumps(body),
                headers=_headers(key, to),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raw = await read_answer(response, LONGEST_ERROR)
                    raise refusal(response.status, raw, response.headers, key)
                yield response
        except AddressRefusedError as error:
            raise UpstreamError(AttemptStatus.UNREACHABLE, str(error)) from None
        except aiohttp.ConnectionTimeoutError:
            message = f"No connection within {endpoint.connect_seconds:g} s."
            raise UpstreamError(AttemptStatus.CONNECT_TIMEOUT, message) from None
        except aiohttp.SocketTimeoutError:
            raise UpstreamError(
                AttemptStatus.FIRST_TOKEN_TIMEOUT, f"The provider sent nothing for {silence:g} s."
            ) from None
        except TimeoutError:
            message = f"The answer was not complete within {endpoint.total_seconds:g} s."
            raise UpstreamError(AttemptStatus.TOTAL_TIMEOUT, message) from None
        except aiohttp.ClientConnectorError:
            raise UpstreamError(
                AttemptStatus.UNREACHABLE, f"Endpoint '{endpoint.name}' cannot be reached."
            ) from None
        except (aiohttp.ClientError, ConnectionError):
            message = "The provider cut the connection."
            raise UpstreamError(AttemptStatus.CUT, message) from None


def _headers(key: str | None, to: Address | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if to is not None:
        headers |= to.headers
    if key and (to is None or to.bearer):
        headers["Authorization"] = f"Bearer {key}"
    elif key:
        headers["x-api-key"] = key
    return headers


async def read_answer(response: aiohttp.ClientResponse, most: int, start: bytes = b"") -> bytes:
    """The body, of which `start` is already read. An error's body is cut at `most` bytes; a
    longer response raises UpstreamError."""
    chunks, size = [start], len(start)
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            if response.status != 200:
                break
            raise UpstreamError(AttemptStatus.TOO_LARGE, "The provider's answer is too large.")
    return b"".join(chunks)


async def _start(pieces: AsyncIterator[bytes]) -> bytes:
    """The first bytes, which show the format whatever the content type says: events or one
    document."""
    start = b""
    async for piece in pieces:
        start = (start + piece).removeprefix(BYTE_ORDER_MARK).lstrip()
        if start and not BYTE_ORDER_MARK.startswith(start):
            break
    return start


async def _again(start: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for piece in pieces:
        yield piece


async def _chunks(pieces: AsyncIterator[bytes], key: str | None) -> AsyncIterator[dict[str, Any]]:
    joiner = TextJoiner()
    async for event in events_of(pieces):
        if event.lstrip().startswith(DONE):
            yield FINISHED
            return
        if not event.strip():
            continue
        data = _answer(bytes(event), key, halves=True)
        if name_of(event) == b"error":
            raise failure(data, key)
        yield storable_value(joiner.joined(data)) if joiner.concerns(event) else data


def _answer(raw: bytes, key: str | None, *, halves: bool = False) -> dict[str, Any]:
    data = _parsed(raw, halves=halves)
    if error := reported(data, key):
        raise error
    return data


def _parsed(raw: bytes, *, halves: bool) -> dict[str, Any]:
    try:
        data = load_provider_json(raw, halves=halves)
    except ValueError:
        raise _malformed("The provider's answer is not JSON.") from None
    if not isinstance(data, dict):
        raise _malformed("The provider's answer is not an object.")
    return data


def _malformed(message: str) -> UpstreamError:
    return UpstreamError(AttemptStatus.MALFORMED, message)
