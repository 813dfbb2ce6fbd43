"""Server-sent events: what providers stream, and what callers are streamed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
LONGEST_EVENT = 16 * 1024 * 1024


class EventTooLongError(ValueError):
    pass


class Events:
    """Takes bytes as they come and gives the data of each event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Raises EventTooLongError."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_EVENT:
            raise EventTooLongError
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))

    def close(self) -> Iterator[bytes]:
        """What a stream that ended without a last empty line still held."""
        yield from self._line(self._rest.rstrip(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        """Comments and fields other than data say nothing here."""
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            yield data


async def events_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event. Raises EventTooLongError."""
    events = Events()
    async for chunk in chunks:
        for data in events.feed(chunk):
            yield data
    for data in events.close():
        yield data


def event(data: Any) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
