"""Server-sent events, however the bytes are cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from experiments.gateway.sse import LONGEST_EVENT, Events, EventTooLongError, event, events_of

STREAM = (
    b": ping\n\nevent: x\n"
    b'data: {"a": "\xc3\xbc"}\r\n\r\n'
    b"data:1\ndata: 2\n\nid: 7\n\ndata: [DONE]\n\n"
)
FOUND = [b'{"a": "\xc3\xbc"}', b"1\n2", b"[DONE]"]


def read(*chunks: bytes) -> list[bytes]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[bytes]:
        return [data async for data in events_of(source())]

    return asyncio.run(collect())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_of_any_size(size: int) -> None:
    assert read(*(STREAM[i : i + size] for i in range(0, len(STREAM), size))) == FOUND


def test_last_event_without_an_empty_line() -> None:
    assert read(b"data: 1") == [b"1"]


def test_nothing() -> None:
    assert read() == read(b"") == read(b"\n\n\n") == []


def test_event_without_end() -> None:
    with pytest.raises(EventTooLongError):
        list(Events().feed(b"data: " + b"x" * LONGEST_EVENT))


def test_event_is_one_line() -> None:
    assert event({"a": "b\nc"}) == b'data: {"a":"b\\nc"}\n\n'
