"""Server-sent events: parses providers' streams and formats callers' streams."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from experiments.gateway.provider_json import dumps

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
LONGEST_EVENT = 16 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    pass


class NamedEvent(bytes):
    """The data of an event with a `name`, such as `ping`."""

    name = b""

    @classmethod
    def of(cls, data: bytes, name: bytes) -> "NamedEvent":
        event = cls(data)
        event.name = name
        return event


def name_of(event: bytes) -> bytes:
    """Empty if it has none."""
    return event.name if isinstance(event, NamedEvent) else b""


class Events:
    """Takes bytes as they arrive and yields the data of each complete event.

    Lines end with LF, CR LF or CR, wherever the bytes are split. The cost of a long line is
    linear in its length, however many pieces it arrives in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of an incomplete line
        self._pieces_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._name = b""
        self._is_first_line = True
        self._after_return = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Raises EventTooLongError."""
        if not chunk:
            return
        if self._after_return and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._after_return = chunk[-1:] == b"\r"
        self._pieces.append(chunk)
        self._pieces_size += len(chunk)
        if b"\n" in chunk or b"\r" in chunk:
            text = b"".join(self._pieces)
            lines = text.splitlines()
            rest = b"" if text[-1:] in b"\r\n" else lines.pop()
            self._pieces, self._pieces_size = [rest], len(rest)
            for line in lines:
                if (event := self._line(line)) is not None:
                    yield event
        self._check_size()

    def close(self) -> Iterator[bytes]:
        """The remainder of a stream that ended without a final empty line."""
        for line in (b"".join(self._pieces), b""):
            if (event := self._line(line)) is not None:
                yield event

    def _check_size(self) -> None:
        if self._pieces_size + self._data_size > LONGEST_EVENT:
            raise EventTooLongError

    def _line(self, line: bytes) -> bytes | None:
        """The event that this line ends. Comments and other fields are ignored."""
        if self._is_first_line:
            self._is_first_line, line = False, line.removeprefix(BYTE_ORDER_MARK)
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._data_size += len(line)
            self._check_size()
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif not line:
            data, name = self._data, self._name
            self._data, self._data_size, self._name = [], 0, b""
            if data:
                whole = data[0] if len(data) == 1 else b"\n".join(data)
                return NamedEvent.of(whole, name) if name else whole
        return None


async def events_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event. Raises EventTooLongError."""
    events = Events()
    async for chunk in chunks:
        for event in events.feed(chunk):
            yield event
    for event in events.close():
        yield event


def event(data: Any) -> bytes:
    return b"data: " + dumps(data) + b"\n\n"


def named_event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\n" + event(data)
