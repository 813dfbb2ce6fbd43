"""Server-sent events, wherever the bytes are split."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from experiments.gateway.sse import (
    LONGEST_EVENT,
    Events,
    EventTooLongError,
    event,
    events_of,
    name_of,
)

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


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_line_ends(end: bytes, size: int) -> None:
    stream = end.join([b"event: ping", b"data: 1", b"", b": x", b"data: 2", b"data: 3", b"", b""])
    assert read(*(stream[i : i + size] for i in range(0, len(stream), size))) == [b"1", b"2\n3"]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_byte_order_mark(size: int) -> None:
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    assert read(*(stream[i : i + size] for i in range(0, len(stream), size))) == [b"1"]


def test_name_of_an_event_holds_for_it_alone() -> None:
    found = list(Events().feed(b"event: error\ndata: 1\n\ndata: 2\n\nevent: ping\n\ndata: 3\n\n"))
    assert [(bytes(each), name_of(each)) for each in found] == [
        (b"1", b"error"),
        (b"2", b""),
        (b"3", b""),
    ]


def test_event_of_many_lines_without_end() -> None:
    line = b"data: " + b"x" * 1_000_000 + b"\n"
    events = Events()
    for _ in range(LONGEST_EVENT // len(line)):
        assert list(events.feed(line)) == []
    with pytest.raises(EventTooLongError):
        list(events.feed(line))


def test_many_events_together_are_not_one() -> None:
    line = b"data: " + b"x" * 1_000_000 + b"\n\n"
    assert len(list(Events().feed(line * 20))) == 20


def test_large_event_in_small_pieces_takes_no_longer_than_its_length() -> None:
    """Joining it again with every piece would copy eight megabytes 15,000 times."""
    events = Events()
    started = time.process_time()
    for _ in range(15_000):
        assert list(events.feed(b"x" * 1000)) == []
    assert time.process_time() - started < 2


def test_event_without_a_name_is_plain_bytes() -> None:
    """The JSON parser accepts no subclass: all chunks would be parsed slowly."""
    [found] = Events().feed(b"data: 1\n\n")
    assert type(found) is bytes
