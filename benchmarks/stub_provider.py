"""A provider of models on loopback that speaks OpenAI's protocol, and misbehaves on command.

Benchmarks start it with a set latency; tests tell it through `POST /behave` how the model of a name
behaves from then on, and read at `GET /calls` what it was asked.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

WORDS = ("Yes", ", ", "of ", "course", ".")
TEXT = "".join(WORDS)
REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests"}
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Behaviour:
    """How a model answers. `delay` is the wait before an answer or a stream's first event, `pause`
    the wait before each further event, both in seconds; `times` is for how many calls it holds
    (0: for good).

    Faults: another `status` with `error`; `hangs` never answers; `cut_after` closes the connection
    after that many events (0: right after the headers); `body` or `events` are sent as they are;
    `pads` the answer with that many bytes. `pieces` are a stream's bytes, one write each, as
    Latin-1, under `content_type`.
    """

    delay: float = 0.0
    pause: float = 0.0
    times: int = 0
    status: int = 200
    error: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    cut_after: int | None = None
    body: str | None = None
    events: list[str] | None = None
    usage: Any = "true"
    pads: int = 0
    message: dict[str, Any] | None = None
    pieces: list[str] | None = None
    content_type: str = "text/event-stream"


@dataclass
class Call:
    """One call as it came. `hung_up` is set when the caller went away before its end."""

    model: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    hung_up: bool = False
    done: bool = False


class ClientDisconnectedError(Exception):
    """The caller closed the connection."""


class Stub:
    """`log` off, as in benchmarks, remembers no call."""

    def __init__(self, usual: Behaviour, *, log: bool = True) -> None:
        self.usual = usual
        self.log = log
        self.behaviours: dict[str, Behaviour] = {}
        self.calls: list[Call] = []
        self.most_at_once: dict[str, int] = {}
        self._running: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keeps the connection, reads whole requests, answers one after the other."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, headers = _head(head)
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                if path.endswith("/chat/completions"):
                    await self._chat(raw, headers, reader, writer)
                else:
                    _send(writer, 200, self._control(method, path, raw))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ClientDisconnectedError):
            pass
        finally:
            writer.close()

    def _control(self, method: str, path: str, raw: bytes) -> Any:
        if path == "/behave":
            message = json.loads(raw)
            self.behaviours[message["model"]] = Behaviour(**message["behaviour"])
        elif path == "/calls" and method == "DELETE":
            self.calls.clear()
            self.most_at_once.clear()
        elif path == "/calls":
            return {"calls": [asdict(call) for call in self.calls], "most": self.most_at_once}
        return {}

    def _behaviour(self, model: str) -> Behaviour:
        found = self.behaviours.get(model, self.usual)
        if found.times:
            left = {f.name: getattr(found, f.name) for f in fields(found)}
            left["times"] = found.times - 1
            if found.times == 1:
                del self.behaviours[model]
            else:
                self.behaviours[model] = Behaviour(**left)
        return found

    async def _chat(
        self,
        raw: bytes,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        body = json.loads(raw)
        model = body.get("model", "")
        call = Call(model, body, headers, time.time())
        if self.log:
            self.calls.append(call)
        running = self._running[model] = self._running.get(model, 0) + 1
        self.most_at_once[model] = max(running, self.most_at_once.get(model, 0))
        gone = _Gone(reader)
        try:
            answer = _Answer(self._behaviour(model), body, writer, gone)
            await answer.send()
            call.done = True
        except (ClientDisconnectedError, ConnectionError):
            call.hung_up = True
            raise
        finally:
            await gone.stop()
            self._running[model] -= 1


class _Gone:
    """Notices that the caller has gone. Callers never send two requests at once, so whatever can
    be read before an answer is complete is the end of the connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._watch: asyncio.Task[bytes] | None = None

    async def wait(self, seconds: float) -> None:
        """Raises ClientDisconnectedError if the caller disconnects during the wait."""
        if not seconds:
            return
        if self._watch is None:
            self._watch = asyncio.ensure_future(self._reader.read(1))
        done, _ = await asyncio.wait({self._watch}, timeout=seconds)
        if done:
            raise ClientDisconnectedError

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await self._watch


class _Answer:
    def __init__(
        self, how: Behaviour, body: Mapping[str, Any], writer: asyncio.StreamWriter, gone: _Gone
    ) -> None:
        self._how = how
        self._body = body
        self._writer = writer
        self._gone = gone

    async def send(self) -> None:
        how = self._how
        await self._gone.wait(1e6 if how.hangs else how.delay)
        if how.status != 200:
            error = how.error if how.error is not None else {"message": f"Stub: {how.status}."}
            _send(self._writer, how.status, {"error": error}, how.headers)
        elif self._body.get("stream"):
            await self._stream()
        elif how.cut_after is not None:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {10**6}"
            self._writer.write(f"{head}\r\n\r\n{{".encode())
            raise ConnectionError
        elif how.body is not None:
            _send_raw(self._writer, 200, how.body.encode(), how.headers)
        else:
            _send(self._writer, 200, self._whole(), how.headers)

    async def _stream(self) -> None:
        how = self._how
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {how.content_type}\r\nTransfer-Encoding: chunked"
        self._writer.write(f"{head}\r\n\r\n".encode())
        for number, data in enumerate(self._pieces()):
            if number and how.pause:
                await self._gone.wait(how.pause)
            if number == how.cut_after:
                await self._writer.drain()
                raise ConnectionError
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            if how.pause:
                await self._writer.drain()
        self._writer.write(b"0\r\n\r\n")

    def _pieces(self) -> list[bytes]:
        if self._how.pieces is not None:
            return [piece.encode("latin-1") for piece in self._how.pieces]
        return [f"data: {event}\n\n".encode() for event in self._events()]

    def _events(self) -> list[str]:
        how = self._how
        if how.events is not None:
            return how.events
        chunks: list[dict[str, Any]] = []
        for index in range(self._choices()):
            chunks.append(_delta(index, {"role": "assistant", "content": ""}))
            if how.message:
                chunks.append(_delta(index, how.message))
            else:
                chunks += [_delta(index, {"content": word}) for word in self._words()]
            chunks.append(_delta(index, {}, finish="stop"))
        base = {"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1}
        events = [json.dumps({**base, "model": "stub", "choices": [each]}) for each in chunks]
        if (self._body.get("stream_options") or {}).get("include_usage"):
            last = {**base, "model": "stub", "choices": [], "usage": self._usage()}
            events.append(json.dumps(last))
        return [*events, "[DONE]"]

    def _whole(self) -> dict[str, Any]:
        message = self._how.message or {"content": "".join(self._words())}
        choices: list[Any] = [
            {
                "index": index,
                "message": {"role": "assistant", **message},
                "logprobs": {"content": []} if self._body.get("logprobs") else None,
                "finish_reason": "stop",
            }
            for index in range(self._choices())
        ]
        answer = {
            "id": "chatcmpl-stub",
            "object": "chat.completion",
            "created": 1,
            "model": "stub",
            "choices": choices,
        }
        usage = self._usage()
        return answer if usage is None else {**answer, "usage": usage}

    def _words(self) -> tuple[str, ...]:
        return (*WORDS, "x" * self._how.pads) if self._how.pads else WORDS

    def _choices(self) -> int:
        return int(self._body.get("n") or 1)

    def _usage(self) -> Any:
        if self._how.usage != "true":
            return self._how.usage
        read = sum(len(str(message)) for message in self._body.get("messages", ())) // 4
        wrote = len(WORDS) * self._choices()
        return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def _delta(index: int, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": dict(delta), "finish_reason": finish}


def _head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    return method, path, {name.strip().lower(): value.strip() for name, value in pairs}


def _send(
    writer: asyncio.StreamWriter, status: int, data: Any, headers: Headers | None = None
) -> None:
    _send_raw(writer, status, json.dumps(data).encode(), headers or {})


def _send_raw(writer: asyncio.StreamWriter, status: int, body: bytes, headers: Headers) -> None:
    lines = [
        f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


async def main(port: int, latency: float, pause: float, *, log: bool) -> None:
    stub = Stub(Behaviour(delay=latency, pause=pause), log=log)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    _, port, *rest = sys.argv
    latency, pause = (*map(float, rest[:2]), 0.0, 0.0)[:2]
    asyncio.run(main(int(port), latency, pause, log="--log" in rest[2:]))
