"""Answers in the client's form, whole and as streams."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from experiments.core.endpoints import ApiFormat
from experiments.core.usage import Usage
from experiments.gateway.errors import AttemptStatus, GatewayError, UpstreamError
from experiments.gateway.execution import CallAttempt, CallExecution
from experiments.gateway.protocols.messages_answers import MessagesWriter, whole_message
from experiments.gateway.protocols.model_call import Body, ModelCall
from experiments.gateway.protocols.native import NativeEvent, Reader
from experiments.gateway.protocols.responses_answers import ResponsesWriter, whole_response
from experiments.gateway.response_headers import OWN_KEY
from experiments.gateway.streaming import ChatStream


class StreamWriter(Protocol):
    """Writes the chunks of a chat completion in another form. `whole` is the answer, once it has
    ended, if the protocol's last event has it."""

    whole: Body | None

    def __init__(self, call: ModelCall, model: str) -> None: ...

    def feed(self, data: Body) -> bytes: ...

    def end(self, usage: Usage | None, explained: Mapping[str, Any] | None) -> bytes: ...

    def error(self, error: GatewayError, request_id: str) -> bytes: ...


Whole = Callable[[ModelCall, Body, str, Usage | None], Body]
WHOLE: dict[ApiFormat, Whole] = {
    ApiFormat.MESSAGES: whole_message,
    ApiFormat.RESPONSES: whole_response,
}
WRITERS: dict[ApiFormat, type[StreamWriter]] = {
    ApiFormat.MESSAGES: MessagesWriter,
    ApiFormat.RESPONSES: ResponsesWriter,
}


def answer_in_form(execution: CallExecution, attempt: CallAttempt) -> Body:
    """The whole answer in the client's form, with the model's registered name."""
    call = execution.call
    if call.api_format is ApiFormat.CHAT or attempt.native is not None:
        return {**attempt.data, "model": attempt.model}
    return WHOLE[call.api_format](call, attempt.data, attempt.model, execution.usage)


def stream_of(execution: CallExecution, attempt: CallAttempt) -> ChatStream:
    """The stream in the client's form."""
    if execution.call.api_format is ApiFormat.CHAT:
        return ChatStream(execution, attempt)
    if attempt.native is not None:
        return NativeStream(execution, attempt, attempt.native)
    return TranslatedStream(execution, attempt)


class TranslatedStream(ChatStream):
    """A provider's chat completion in the client's form."""

    def __init__(self, execution: CallExecution, attempt: CallAttempt) -> None:
        super().__init__(execution, attempt)
        self._writer = WRITERS[execution.call.api_format](execution.call, attempt.model)

    def ending(self, explained: Mapping[str, Any] | None) -> bytes:
        return self._writer.end(self._execution.usage, explained)

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        return self._writer.error(error, request_id)

    @property
    def whole(self) -> Body | None:
        return self._writer.whole

    def _passed_on(self, data: Body) -> bytes | None:
        return self._writer.feed(data) or None


class NativeStream(ChatStream):
    """A provider's events as they come, with the model's registered name."""

    def __init__(self, execution: CallExecution, attempt: CallAttempt, reader: Reader) -> None:
        super().__init__(execution, attempt)
        self._reader = reader
        self._writer = WRITERS[execution.call.api_format](execution.call, attempt.model)
        self._last: NativeEvent | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        async for each in self._events():
            event = self._named(each)
            if self._reader.ends(event.data):
                self._last = event
                break
            self._listen(self._reader.delta(event.data))
            yield event.as_bytes()
        if self._last is None:
            raise UpstreamError(
                AttemptStatus.CUT, "The provider's stream ended before the answer did."
            )

    def ending(self, explained: Mapping[str, Any] | None) -> bytes:
        if self._last is None:
            return b""
        if explained is None:
            return self._last.as_bytes()
        return self._last.renewed({**self._last.data, OWN_KEY: explained}).as_bytes()

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        return self._writer.error(error, request_id)

    @property
    def whole(self) -> Body | None:
        response = self._last.data.get("response") if self._last else None
        return response if isinstance(response, dict) else None

    @property
    def _is_complete(self) -> bool:
        return self._attempt.is_done

    def _named(self, event: Any) -> NativeEvent:
        renamed = self._reader.named(event.data, self._attempt.model)
        found: NativeEvent = event if renamed is None else event.renewed(renamed)
        return found

    def _listen(self, delta: Body | None) -> None:
        if delta is None:
            return
        self._attempt.written.add(delta)
        if self._execution.recorder:
            self._execution.recorder.add({"delta": delta})
