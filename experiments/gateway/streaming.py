"""Sends a model's response to the caller, complete or as a stream, and counts its usage."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from django.conf import settings

from experiments.gateway.asgi import Request
from experiments.gateway.chunks import Data
from experiments.gateway.error_responses import answer_to
from experiments.gateway.errors import AttemptStatus, GatewayError, UpstreamError
from experiments.gateway.execution import CallAttempt, CallExecution
from experiments.gateway.response_headers import (
    OWN_KEY,
    early_headers,
    explanation,
    headers,
    wants_explanation,
)
from experiments.gateway.sse import DONE, KEEP_ALIVE, event

MOST_UNSENT = 64 * 1024  # bytes of a stream that wait to be sent

Written = Callable[[CallExecution, CallAttempt], Data]
Opened = Callable[[CallExecution, CallAttempt], "ChatStream"]


async def answer_whole(
    request: Request, execution: CallExecution, started: float, written: Written
) -> None:
    """`written` is the answer in the client's form. Raises UpstreamError if no model answers."""
    attempt = await execution.open()
    for choice in choices_of(attempt):
        attempt.written.add(choice.get("message"))
        if execution.recorder:
            execution.recorder.add(choice)
    execution.finished(attempt)
    data = written(execution, attempt)
    await execution.keep(data)
    if wants_explanation(request):
        data[OWN_KEY] = explanation(execution)
    elapsed = (time.perf_counter() - started) * 1e3
    await request.answer(200, data, headers(execution, attempt.model, elapsed))


def choices_of(attempt: CallAttempt) -> list[Data]:
    """What a complete response says, in the form of chat completions."""
    if attempt.native is not None:
        return [{"message": attempt.native.message(attempt.data)}]
    choices: list[Data] = attempt.data["choices"]
    return choices


async def answer_stream(
    request: Request, execution: CallExecution, started: float, opened: Opened
) -> None:
    """`opened` is the stream in the client's form. Raises UpstreamError if no model answers before
    the response begins; after that, an error is the stream's last event."""
    async with _Response(request, execution) as response:
        try:
            attempt = await execution.open()
        except Exception as error:
            if not request.has_begun:
                raise
            await response.end_with(request.error_event(answer_to(error)))
            return
        stream = opened(execution, attempt)
        elapsed = (time.perf_counter() - started) * 1e3
        try:
            await response.begin(headers(execution, attempt.model, elapsed))
            async for chunk in stream.chunks():
                await response.write(chunk)
        except asyncio.CancelledError:
            stream.hung_up()
            raise
        except Exception as error:
            stream.failed(_as_upstream(error))
            await response.end_with(stream.error_event(answer_to(error), request.id))
        else:
            stream.finished()
            explained = explanation(execution) if wants_explanation(request) else None
            last = stream.ending(explained)
            await execution.keep(stream.whole)
            await response.end_with(last)


def _as_upstream(error: Exception) -> UpstreamError:
    """The record of a stream that ended early, for any reason."""
    if isinstance(error, UpstreamError):
        return error
    return UpstreamError(AttemptStatus.BROKEN, f"Switchyard failed: {type(error).__name__}.")


class _Response:
    """The caller's stream. It sends a comment after a period of silence, so that proxies keep the
    connection.

    The response begins with the first chunk, when the answering model is known. If that takes
    longer than the period, the response begins with a comment and the headers that are already
    known; another model may still answer.

    Chunks that arrived together are sent together: `_sender` runs as soon as the task that writes
    them waits for more. Writing to a socket costs more than all other work on a chunk."""

    def __init__(self, request: Request, execution: CallExecution) -> None:
        self._request = request
        self._execution = execution
        self._loop = asyncio.get_running_loop()
        self._sent_at = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._sender: asyncio.Task[None] | None = None
        self._is_sending = False
        self._failure: Exception | None = None

    async def __aenter__(self) -> "_Response":
        if seconds := settings.GATEWAY_KEEPALIVE_SECONDS:
            self._timer = self._loop.call_later(seconds, self._after_silence, seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_comments()
        if self._sender is not None:
            self._sender.cancel()

    async def begin(self, named: Mapping[str, str]) -> None:
        if not self._request.has_begun:
            await self._request.begin_stream(named)

    async def write(self, chunk: bytes) -> None:
        self._add(chunk)
        if self._unsent_size >= MOST_UNSENT and self._sender is not None:
            await asyncio.wait({self._sender})  # the client reads slower than the model writes

    async def end_with(self, last: bytes) -> None:
        """No comment follows."""
        self._stop_comments()
        if self._is_sending and self._sender is not None:
            await asyncio.wait({self._sender})
        if self._failure is not None:
            raise self._failure
        await self._request.end_stream(self._taken() + last)

    def _add(self, chunk: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        self._unsent.append(chunk)
        self._unsent_size += len(chunk)
        if self._sender is None:
            self._sender = self._loop.create_task(self._send())

    def _taken(self) -> bytes:
        chunks, self._unsent, self._unsent_size = self._unsent, [], 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _send(self) -> None:
        try:
            while self._unsent:
                self._is_sending = True
                await self.begin(early_headers(self._execution))
                await self._request.write(self._taken())
                self._sent_at = time.monotonic()
        except Exception as error:
            self._failure = error
        finally:
            self._sender, self._is_sending = None, False

    def _after_silence(self, seconds: float) -> None:
        """While something is being sent the client is not waiting."""
        left = self._sent_at + seconds - time.monotonic()
        if left <= 0 and self._sender is None and self._failure is None:
            self._add(KEEP_ALIVE)
        wait = left if left > 0 else seconds
        self._timer = self._loop.call_later(wait, self._after_silence, seconds)

    def _stop_comments(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ChatStream:
    """One model's stream: every chunk carries the model's registered name; usage is sent only if
    the caller requested it."""

    def __init__(self, execution: CallExecution, attempt: CallAttempt) -> None:
        self._execution = execution
        self._attempt = attempt
        self._open: set[int] = set()
        self._over: set[int] = set()
        self._is_booked = False
        self._frame: Data = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises UpstreamError, also if the stream stops before its choices have ended and the
        provider has not ended it properly."""
        async for data in self._events():
            self._take_note(data)
            if chunk := self._passed_on(data):
                yield chunk
        if not self._is_complete:
            raise UpstreamError(
                AttemptStatus.CUT, "The provider's stream ended before the answer did."
            )

    def finished(self) -> None:
        self._is_booked = True
        self._execution.finished(self._attempt)

    def failed(self, error: UpstreamError) -> None:
        self._is_booked = True
        self._execution.failed(self._attempt, error)

    def hung_up(self) -> None:
        """A client that disconnects after the last chunk has received the complete response."""
        if self._is_booked:
            return
        if self._is_complete:
            self.finished()
        else:
            self._execution.hung_up(self._attempt)

    @property
    def _is_complete(self) -> bool:
        return self._attempt.is_done or (bool(self._over) and not self._open)

    def ending(self, explained: Mapping[str, Any] | None) -> bytes:
        """What follows the last chunk."""
        if explained is None:
            return DONE
        return event({**self._frame, "choices": [], OWN_KEY: explained}) + DONE

    @property
    def whole(self) -> Data | None:
        """The answer as a whole, if the protocol has it in its last event."""
        return None

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        """What ends a stream that failed."""
        return event(error.body)

    async def _events(self) -> AsyncIterator[Data]:
        for data in self._attempt.first_chunks:
            yield data
        if self._attempt.chunks is not None:
            async for data in self._attempt.chunks:
                yield data

    def _take_note(self, data: Data) -> None:
        for choice in data["choices"]:
            self._attempt.written.add(choice.get("delta"))
            if self._execution.recorder:
                self._execution.recorder.add(choice)
            self._note_end(choice)
        if not self._frame:
            self._frame = {
                **{name: data[name] for name in ("id", "object", "created") if name in data},
                "model": self._attempt.model,
            }

    def _note_end(self, choice: Data) -> None:
        index = choice.get("index")
        number = index if isinstance(index, int) else 0
        if choice.get("finish_reason"):
            self._over.add(number)
        else:
            self._open.add(number)
        self._open -= self._over  # some providers repeat the last chunk of a choice that has ended

    def _passed_on(self, data: Data) -> bytes | None:
        data = {**data, "model": self._attempt.model}
        if not self._execution.call.wants_usage and "usage" in data:
            del data["usage"]
            if not data["choices"]:
                return None
        return event(data)
