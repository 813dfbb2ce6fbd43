"""Passes a model's answer on to the caller, whole or as a stream, and keeps count of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from experiments.gateway.errors import Status, UpstreamError
from experiments.gateway.exchange import Data, Exchange, Try
from experiments.gateway.refusals import answer_to
from experiments.gateway.replies import OWN_KEY, explanation, headers, wants_explanation
from experiments.gateway.sse import DONE, event
from experiments.gateway.usage import Written
from experiments.gateway.wire import Request


async def answer_whole(request: Request, exchange: Exchange, started: float) -> None:
    """Raises UpstreamError when no model answers."""
    attempt = await exchange.open()
    written = Written()
    for choice in attempt.data["choices"]:
        written.add(choice.get("message"))
        if exchange.listener:
            exchange.listener.hear(choice)
    exchange.finished(attempt, Status.OK, attempt.data.get("usage"), written)
    data = {**attempt.data, "model": attempt.model}
    if wants_explanation(request):
        data[OWN_KEY] = explanation(exchange)
    elapsed = (time.perf_counter() - started) * 1e3
    await request.answer(200, data, headers(exchange, attempt.model, elapsed))


async def answer_stream(request: Request, exchange: Exchange, started: float) -> None:
    """Raises UpstreamError when no model answers; once one has begun, what goes wrong is the
    stream's last event."""
    attempt = await exchange.open()
    stream = _Stream(exchange, attempt)
    elapsed = (time.perf_counter() - started) * 1e3
    try:
        await request.begin_stream(headers(exchange, attempt.model, elapsed))
        async for chunk in stream.chunks():
            await request.write(chunk)
    except asyncio.CancelledError:
        stream.hung_up()
        raise
    except Exception as error:
        stream.failed(_as_upstream(error))
        await request.write(event(answer_to(error).body))
    else:
        stream.finished()
        if wants_explanation(request):
            await request.write(event(stream.explained(explanation(exchange))))
        await request.write(DONE)
    await request.end_stream()


def _as_upstream(error: Exception) -> UpstreamError:
    """What is booked of a stream that ended early, whoever is to blame."""
    if isinstance(error, UpstreamError):
        return error
    return UpstreamError(Status.BROKEN, f"Switchyard failed: {type(error).__name__}.")


class _Stream:
    """One model's stream: every chunk under the model's registered name, the usage taken note of
    and passed on only where the caller asked for it."""

    def __init__(self, exchange: Exchange, attempt: Try) -> None:
        self._exchange = exchange
        self._attempt = attempt
        self._written = Written()
        self._usage: Any = None
        self._open: set[int] = set()
        self._over: set[int] = set()
        self._is_booked = False
        self._frame: Data = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises UpstreamError, also where the stream stops before its choices have ended."""
        async for data in self._events():
            self._take_note(data)
            if chunk := self._passed_on(data):
                yield chunk
        if not self._is_complete:
            raise UpstreamError(Status.CUT, "The provider's stream ended before the answer did.")

    def finished(self) -> None:
        self._is_booked = True
        self._exchange.finished(self._attempt, Status.OK, self._usage, self._written)

    def failed(self, error: UpstreamError) -> None:
        self._is_booked = True
        self._exchange.failed(self._attempt, error, self._written)

    def hung_up(self) -> None:
        """Whoever hangs up after the last chunk has had the whole answer."""
        if self._is_booked:
            return
        if self._is_complete:
            self.finished()
        else:
            self._exchange.hung_up(self._attempt, self._written)

    @property
    def _is_complete(self) -> bool:
        return bool(self._over) and not self._open

    def explained(self, how: Any) -> Data:
        return {**self._frame, "choices": [], OWN_KEY: how}

    async def _events(self) -> AsyncIterator[Data]:
        yield self._attempt.data
        if self._attempt.events is not None:
            async for data in self._attempt.events:
                yield data

    def _take_note(self, data: Data) -> None:
        choices = data.get("choices")
        if not isinstance(choices, list):
            raise UpstreamError(Status.MALFORMED, "An event of the provider has no choices.")
        for choice in choices:
            if isinstance(choice, dict):
                self._written.add(choice.get("delta"))
                if self._exchange.listener:
                    self._exchange.listener.hear(choice)
                self._note_end(choice)
        if isinstance(data.get("usage"), dict):
            self._usage = data["usage"]
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
        self._open -= self._over  # some send a last chunk of a choice that has ended

    def _passed_on(self, data: Data) -> bytes | None:
        data = {**data, "model": self._attempt.model}
        if not self._exchange.chat.wants_usage and "usage" in data:
            del data["usage"]
            if not data["choices"]:
                return None
        return event(data)
