"""Runs one call: calls models in order until one answers.

If a model fails before its first choice, the call is retried when that may help, after a short
random wait; then the next model is called. Once a stream has begun, nothing is retried."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from experiments.core.eligibility import CONTEXT, next_model, without_avoided
from experiments.core.endpoints import Endpoint, Upstream
from experiments.core.endpoints import Protocol as Spoken
from experiments.core.money import Price, price_on, total
from experiments.core.parameters import ParameterChange, PolicyRule
from experiments.core.usage import Usage
from experiments.decisions.attempts import Attempted
from experiments.decisions.outcomes import OutcomeReport
from experiments.gateway.admission import Admitted
from experiments.gateway.chunks import FINISHED, Data, with_choices
from experiments.gateway.concurrency import BusyError, ConcurrencyLimiter
from experiments.gateway.errors import AttemptStatus, UpstreamError
from experiments.gateway.protocols.formats import NATIVE
from experiments.gateway.protocols.model_call import ModelCall, chat_upstream_body
from experiments.gateway.protocols.native import (
    NativeClient,
    NativeEvent,
    NativeRequest,
    Reader,
    address,
)
from experiments.gateway.settlement import Settlement
from experiments.gateway.shadow_capture import ShadowRecorder
from experiments.gateway.unsupported import Refused, refused_parameters
from experiments.gateway.usage import (
    OutputCounter,
    UsageLimits,
    merged,
    reported_in,
    usage_of,
    usage_of_part,
)
from experiments.limits.credentials import CredentialMissingError, key_of
from experiments.limits.learned_parameters import ParameterRefusal
from experiments.shadow.queue import ShadowCandidate

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 2.0
MOST_ADAPTATIONS = 5  # of one call to one model
MOST_WAITING = 64  # chunks without a choice
# Failures of a provider that had started to work: it bills the tokens without a response.
WORKED = {
    AttemptStatus.FIRST_TOKEN_TIMEOUT,
    AttemptStatus.TOTAL_TIMEOUT,
    AttemptStatus.CUT,
    AttemptStatus.MALFORMED,
    AttemptStatus.TOO_LARGE,
    AttemptStatus.HUNG_UP,
    AttemptStatus.BROKEN,
}


class ProviderClient(Protocol):
    """The client for an endpoint's protocol. Both methods raise UpstreamError."""

    async def complete(self, endpoint: Endpoint, key: str | None, body: Data) -> Data: ...

    def stream(self, endpoint: Endpoint, key: str | None, body: Data) -> AsyncIterator[Data]: ...


class SharedClients(NamedTuple):
    """The objects that all calls of a process share. `native` calls providers in the client's own
    protocol."""

    clients: dict[Spoken, ProviderClient]
    limiter: ConcurrencyLimiter
    native: NativeClient


class CallAttempt:
    """One running call of one model. `data` is a complete response. A stream has `first_chunks`,
    up to the first with a choice, then `chunks`; `is_done` once its provider ended it.
    `reported` is the provider's latest usage, `written` counts the output received.

    `native` reads the answer of a provider that is called in the client's own protocol; its
    stream has events instead of chunks."""

    def __init__(self, model: str, upstream: Upstream, *, is_fallback: bool) -> None:
        self.model = model
        self.upstream = upstream
        self.is_fallback = is_fallback
        self.started_at = datetime.now(UTC)
        self.is_sent = False
        self.body: Data = {}
        self.native: Reader | None = None
        self.parameters: Mapping[str, Any] = {}
        self.changes: tuple[ParameterChange, ...] = ()
        self.first_token_ms: float | None = None
        self.data: Data = {}
        self.first_chunks: list[Any] = []
        self.chunks: AsyncIterator[Any] | None = None
        self.has_spoken = False
        self.is_done = False
        self.reported: Mapping[str, Any] | None = None
        self.written = OutputCounter()
        self._clock = time.perf_counter()

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self._clock) * 1e3

    def first_byte(self) -> None:
        self.first_token_ms = self.elapsed_ms()


class CallExecution:
    """`attempts` are those that have ended; `waited_ms` is the time spent on providers."""

    def __init__(self, call: ModelCall, admitted: Admitted, shared: SharedClients) -> None:
        self.call = call
        self.admitted = admitted
        self.attempts: list[Attempted] = []
        self.usage: Usage | None = None
        self.error = ""
        self.waited_ms = 0.0
        self.recorder: ShadowRecorder | None = None
        self.keeper: Callable[[Data], Awaitable[None]] | None = None
        self._surroundings = shared
        self._changes: tuple[ParameterChange, ...] = ()
        self._refused: dict[str, list[tuple[Refused, str]]] = {}
        self._held = AsyncExitStack()
        self._clock = time.perf_counter()

    @property
    def model(self) -> str:
        """The model that answered, or the last one called."""
        return self.attempts[-1].model if self.attempts else self.admitted.decision.model

    def fallback_to(self, model: str) -> str:
        """Why this model answers; empty if it is the chosen one."""
        failed = (a.status for a in self.attempts if a.status != AttemptStatus.OK)
        return next(failed, "") if model != self.admitted.decision.model else ""

    @property
    def has_failed(self) -> bool:
        """No model answered."""
        return bool(self.attempts) and self.attempts[-1].status != AttemptStatus.OK

    @property
    def changed(self) -> str:
        """The parameters changed for the last model called, for a header."""
        names = dict.fromkeys(change.parameter for change in self._changes)
        return ", ".join(name for name in names if name.isascii() and name.isidentifier())

    @property
    def cost(self) -> int | None:
        """Nano-dollars of all attempts; None if one has no price."""
        return total(attempt.cost for attempt in self.attempts)

    async def open(self) -> CallAttempt:
        """The first model that answers, or whose stream has begun. Raises the last model's
        UpstreamError."""
        tried: list[str] = []
        unavailable = dict(self.admitted.unavailable)
        model = self.admitted.decision.model
        while True:
            try:
                return await self._with_retries(model, is_fallback=bool(tried))
            except UpstreamError as error:
                self.error = error.message
                if not error.policy.failover:
                    raise
                tried.append(model)
                if error.status is AttemptStatus.CONTEXT_LENGTH:
                    unavailable |= self._no_larger_than(model)
                following = self._next(tried, unavailable)
                if following is None:
                    return await self._last_resort(error)
                model = following

    def _next(self, tried: list[str], unavailable: dict[str, str]) -> str | None:
        """Models that do not support a parameter come last."""
        policy, course = self.admitted.policy, self.admitted.course
        others = (unavailable, without_avoided(unavailable))
        return next(filter(None, (next_model(policy, course, tried, o) for o in others)), None)

    async def _last_resort(self, error: UpstreamError) -> CallAttempt:
        """The first model that refused only optional parameters. Raises the error if there is
        none."""
        ended = {attempt.model: attempt.status for attempt in self.attempts}
        for model, refused in list(self._refused.items()):
            rules = [rule for each, _ in refused for rule in each.as_a_last_resort]
            can_do_without = rules and all(each.as_a_last_resort for each, _ in refused)
            if can_do_without and ended[model] == AttemptStatus.UNSUPPORTED:
                is_fallback = model != self.admitted.decision.model
                return await self._with_retries(model, rules, is_fallback=is_fallback)
        raise error

    async def keep(self, answer: Data | None) -> None:
        """Keeps the answer for calls that continue it, if that is asked for and allowed."""
        if self.keeper is not None and answer is not None:
            await self.keeper(answer)

    async def close(self) -> None:
        """Ends what still runs: a stream's connection and its slot."""
        await self._held.aclose()

    def finished(self, attempt: CallAttempt) -> None:
        """Records a successful attempt."""
        self.usage = usage_of(attempt.reported, self._expected(attempt), attempt.written)
        self._end(attempt, AttemptStatus.OK, self.usage)

    def failed(self, attempt: CallAttempt, error: UpstreamError) -> None:
        """Records a failed attempt. Tokens that its provider processed are billed."""
        self.error = error.message
        self._end(attempt, error.status, self._used_in_vain(attempt, error), error)

    def hung_up(self, attempt: CallAttempt) -> None:
        """The client disconnected: the usage until then is billed."""
        self.failed(attempt, UpstreamError(AttemptStatus.HUNG_UP, "The client disconnected."))

    def _used_in_vain(self, attempt: CallAttempt, error: UpstreamError) -> Usage | None:
        """None if the provider refused the call or was never reached."""
        attempt.reported = merged(attempt.reported, error.usage)
        if not attempt.is_sent:
            return None
        if not (error.status in WORKED or attempt.reported or attempt.written.bytes):
            return None
        usage = usage_of_part(attempt.reported, self._expected(attempt), attempt.written)
        self.usage = usage
        return usage

    def settlement(self) -> Settlement:
        """The usage recorded for the whole execution."""
        usage, ended = (
            self.usage,
            self.attempts[-1].status if self.attempts else AttemptStatus.HUNG_UP,
        )
        report = OutcomeReport(
            occurred_at=datetime.now(UTC),
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            latency_ms=round((time.perf_counter() - self._clock) * 1e3, 3),
            success=None if ended == AttemptStatus.HUNG_UP else ended == AttemptStatus.OK,
            error="" if ended == AttemptStatus.OK else self.error[:500],
        )
        return Settlement(
            decision=self.admitted.decision,
            charge=self.admitted.charge,
            attempts=tuple(self.attempts),
            report=report,
            model=self.model,
            tokens=sum((a.input_tokens or 0) + (a.output_tokens or 0) for a in self.attempts),
            usage=usage,
            cost=self.cost,
            shadow=self._shadow_candidate() if ended == AttemptStatus.OK else None,
            refusals=self._confirmed() if ended == AttemptStatus.OK else (),
        )

    def _shadow_candidate(self) -> ShadowCandidate | None:
        return self.recorder.candidate(self.model) if self.recorder else None

    async def _with_retries(
        self, model: str, adapted: Sequence[PolicyRule] = (), *, is_fallback: bool
    ) -> CallAttempt:
        """Retries if that may help: after a wait, or without the refused parameter."""
        upstream = self.admitted.policy.upstreams[model]
        wait, left, rules = FIRST_WAIT_SECONDS, upstream.endpoint.retries, list(adapted)
        while True:
            try:
                return await self._once(model, upstream, rules, is_fallback=is_fallback)
            except UpstreamError as error:
                if error.status is AttemptStatus.UNSUPPORTED:
                    again = [r for r in self._refused[model][-1][0].at_once if r not in rules]
                    if not again or len(rules) >= MOST_ADAPTATIONS:
                        raise
                    rules += again
                    continue
                if not left or not error.policy.retryable:
                    raise
                left -= 1
                asked_for = error.retry_after or 0.0
                if asked_for > LONGEST_WAIT_SECONDS:
                    raise
                await self._sleep(max(asked_for, wait * random.uniform(0.5, 1.0)))
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        self.waited_ms += seconds * 1e3
        await asyncio.sleep(seconds)

    async def _once(
        self, model: str, upstream: Upstream, rules: Sequence[PolicyRule], *, is_fallback: bool
    ) -> CallAttempt:
        attempt = CallAttempt(model, upstream, is_fallback=is_fallback)
        learned = (*self.admitted.learned.get(model, ()), *rules)
        self._prepare(attempt, learned)
        self._changes = attempt.changes
        try:
            await self._first(attempt)
        except BaseException as error:
            with suppress(Exception):
                await self._held.aclose()
            self._held = AsyncExitStack()
            if isinstance(error, UpstreamError):
                self._note_refusal(attempt, error)
                self.failed(attempt, error)
            elif isinstance(error, asyncio.CancelledError):
                self.hung_up(attempt)
            raise
        finally:
            self.waited_ms += attempt.elapsed_ms()
        return attempt

    def _prepare(self, attempt: CallAttempt, learned: Sequence[PolicyRule]) -> None:
        """In the client's own protocol if the provider speaks it, else as a chat call."""
        if self.call.is_native_at(attempt.upstream):
            own = NATIVE[self.call.api_format]
            request: NativeRequest = own.request(self.call, attempt.upstream, learned)
            attempt.native = own.reader
            attempt.body, attempt.changes, attempt.parameters = request
            return
        body, changes = chat_upstream_body(self.call, attempt.upstream, learned)
        attempt.body, attempt.changes, attempt.parameters = body, changes, body

    def _note_refusal(self, attempt: CallAttempt, error: UpstreamError) -> None:
        """Distinguishes a parameter that this model refuses from a call that every model
        refuses."""
        refused = refused_parameters(error, attempt.parameters, self.call.capabilities)
        if refused is not None:
            error.status = AttemptStatus.UNSUPPORTED
            self._refused.setdefault(attempt.model, []).append((refused, error.message))

    def _confirmed(self) -> tuple[ParameterRefusal, ...]:
        """Parameters that one model refused when the call then succeeded, without them or at
        another model."""
        return tuple(
            ParameterRefusal(model, rule, reason)
            for model, refused in self._refused.items()
            for each, reason in refused
            for rule in (each.rules if each.lasting else ())
        )

    async def _first(self, attempt: CallAttempt) -> None:
        """Waits for the complete response or its first event."""
        endpoint = attempt.upstream.endpoint
        try:
            key = key_of(endpoint)
            if endpoint.concurrency:
                place = self._surroundings.limiter.place(
                    attempt.model, endpoint.concurrency, endpoint.connect_seconds
                )
                await self._held.enter_async_context(place)
        except CredentialMissingError as error:
            raise UpstreamError(AttemptStatus.CREDENTIALS, str(error)) from None
        except BusyError:
            raise UpstreamError(
                AttemptStatus.BUSY, f"Model '{attempt.model}' is at its concurrency limit."
            ) from None
        attempt.is_sent = True
        if attempt.native is not None:
            await self._first_native(attempt, attempt.native, key)
            return
        client = self._surroundings.clients[endpoint.protocol]
        if self.call.streams:
            events = client.stream(endpoint, key, attempt.body)
            await self._first_chunk(attempt, events, _chunks(attempt, events), _has_choice)
        else:
            data = await client.complete(endpoint, key, attempt.body)
            attempt.reported = reported_in(data)
            attempt.data = _checked(data)
            attempt.first_byte()

    async def _first_native(self, attempt: CallAttempt, reader: Reader, key: str | None) -> None:
        """The same in the client's own protocol."""
        client, endpoint = self._surroundings.native, attempt.upstream.endpoint
        to = address(endpoint, self.call.api_format, self.call.headers)
        if not self.call.streams:
            data = await client.complete_native(endpoint, key, attempt.body, to)
            attempt.reported = reported_in(reader.holder(data))
            if not reader.is_answer(data):
                raise UpstreamError(
                    AttemptStatus.MALFORMED, "The provider's answer has no content."
                )
            attempt.data = data
            attempt.first_byte()
            return
        events = client.stream_native(endpoint, key, attempt.body, to)
        chunks = _native_events(attempt, reader, events)
        await self._first_chunk(attempt, events, chunks, lambda event: reader.begins(event.data))

    async def _first_chunk(
        self,
        attempt: CallAttempt,
        events: AsyncIterator[Any],
        chunks: AsyncIterator[Any],
        begins: Callable[[Any], bool],
    ) -> None:
        """Waits for the chunk with which the answer begins: until then another model may answer,
        and earlier chunks are held back."""
        for stream in (events, chunks):
            self._held.push_async_callback(stream.aclose)  # type: ignore[attr-defined]
        async for data in chunks:
            attempt.first_chunks.append(data)
            if begins(data) or len(attempt.first_chunks) >= MOST_WAITING:
                attempt.chunks = chunks
                attempt.first_byte()
                return
        if attempt.has_spoken:
            raise UpstreamError(AttemptStatus.MALFORMED, "The provider's stream held no answer.")
        raise UpstreamError(AttemptStatus.CUT, "The provider's stream ended before it began.")

    def _end(
        self,
        attempt: CallAttempt,
        status: AttemptStatus,
        usage: Usage | None,
        error: UpstreamError | None = None,
    ) -> None:
        tokens = usage._asdict() if usage else {}
        tokens.pop("reported_cost", None)
        answered = 200 if attempt.first_token_ms else None
        self.attempts.append(
            Attempted(
                model=attempt.model,
                endpoint=attempt.upstream.endpoint.name,
                is_fallback=attempt.is_fallback,
                started_at=attempt.started_at,
                ended_ms=round(attempt.elapsed_ms(), 3),
                status=status.value,
                first_token_ms=attempt.first_token_ms,
                http_status=error.http_status if error and error.http_status else answered,
                cost=self._cost(attempt.model, usage),
                error=error.message[:500] if error else "",
                changes=attempt.changes,
                counts_for_breaker=error.policy.counts_for_breaker
                if error
                else status is AttemptStatus.OK,
                **tokens,
            )
        )

    def _expected(self, attempt: CallAttempt) -> UsageLimits:
        """An upper bound: no token is shorter than a byte. Tokens that the provider adds are
        limited by the context window."""
        window = self.admitted.policy.models[attempt.model].capabilities.context_window
        return UsageLimits(self.call.input_tokens, max(window, self.call.size), self.call.choices)

    def _cost(self, model: str, usage: Usage | None) -> int | None:
        """No usage costs nothing, at any price. Without a price, the provider's own cost is used
        if it reports one."""
        if usage is None:
            return 0
        price = self.price(model)
        return usage.reported_cost if price is None else price.cost_of(usage)

    def price(self, model: str) -> Price | None:
        day = self.admitted.decision.created_at.date()
        return price_on(self.admitted.policy.prices.get(model, ()), day)

    def _no_larger_than(self, model: str) -> dict[str, str]:
        models = self.admitted.policy.models
        size = models[model].capabilities.context_window
        return {
            name: CONTEXT
            for name, other in models.items()
            if other.capabilities.context_window <= size
        }


def _has_choice(data: Data) -> bool:
    return bool(data["choices"])


async def _native_events(
    attempt: CallAttempt, reader: Reader, events: AsyncIterator[NativeEvent]
) -> AsyncIterator[NativeEvent]:
    """The events of a stream in the client's own protocol. Usage is recorded wherever it is
    reported."""
    async for event in events:
        attempt.has_spoken = True
        attempt.reported = merged(attempt.reported, reported_in(reader.holder(event.data)))
        attempt.is_done = attempt.is_done or reader.ends(event.data)
        yield event


async def _chunks(attempt: CallAttempt, events: AsyncIterator[Data]) -> AsyncIterator[Data]:
    """The chunks of a stream that have content for its reader. Usage is recorded wherever it is
    reported."""
    async for data in events:
        if data is FINISHED:
            attempt.is_done = True
            return
        attempt.has_spoken = True
        attempt.reported = merged(attempt.reported, reported_in(data))
        chunk = with_choices(data)
        if chunk["choices"] or data.get("choices") is not None or "usage" in data:
            yield chunk


def _checked(data: Data) -> Data:
    choices = data.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise UpstreamError(AttemptStatus.MALFORMED, "The provider's answer has no choices.")
    if not any(isinstance(choice.get("message"), dict) for choice in choices):
        raise UpstreamError(AttemptStatus.MALFORMED, "The provider's answer holds no message.")
    return data
