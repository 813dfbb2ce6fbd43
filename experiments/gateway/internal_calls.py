"""Switchyard's own calls, through the same provider clients as callers' calls. The endpoint's
key, timeouts and concurrency limit apply to them too."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from experiments.core.eligibility import FallbackPlan
from experiments.core.money import total
from experiments.core.policy import Policy
from experiments.decisions.attempts import Attempted
from experiments.gateway.admission import Admitted
from experiments.gateway.errors import UpstreamError
from experiments.gateway.execution import CallExecution, SharedClients
from experiments.gateway.native_client import shared_clients
from experiments.gateway.openai_client import new_session
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.shadow_capture import answer_of
from experiments.limits.quotas import Limits, QuotaStatus, Reservation
from experiments.models import Decision

AT_A_TIME = 8


class InternalCall(NamedTuple):
    """One call to make; `body` is a chat body without its model."""

    model: str
    body: Mapping[str, Any]


class Reply(NamedTuple):
    """`answer` is None after a failure, and `error` gives the reason."""

    attempts: tuple[Attempted, ...]
    answer: str | None
    error: str = ""

    @property
    def tokens(self) -> int:
        return sum((a.input_tokens or 0) + (a.output_tokens or 0) for a in self.attempts)

    @property
    def cost(self) -> int | None:
        return total(attempt.cost for attempt in self.attempts)


class InternalClient:
    """A separate event loop that keeps its connections open between calls."""

    def __enter__(self) -> "InternalClient":
        self._runner = asyncio.Runner()
        self._session = self._runner.run(_new_session())
        self._surroundings = shared_clients(self._session)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.run(self._session.close())
        self._runner.close()

    def ask(self, policy: Policy, questions: Sequence[InternalCall]) -> list[Reply]:
        """All replies, in order."""
        return self._runner.run(self._ask(policy, questions))

    async def _ask(self, policy: Policy, questions: Sequence[InternalCall]) -> list[Reply]:
        few = asyncio.Semaphore(AT_A_TIME)

        async def one(question: InternalCall) -> Reply:
            async with few:
                return await _asked(policy, question, self._surroundings)

        return list(await asyncio.gather(*map(one, questions)))


async def _new_session() -> Any:
    return new_session()


async def _asked(policy: Policy, question: InternalCall, shared: SharedClients) -> Reply:
    """A failure affects only the reply of its own question."""
    if question.model not in policy.upstreams:
        return Reply((), None, f"Model '{question.model}' has no endpoint to be called at.")
    chat = read_chat(orjson.dumps({**question.body, "model": question.model}), None)
    execution = CallExecution(chat, _admitted(policy, question.model), shared)
    try:
        attempt = await execution.open()
        for choice in attempt.data["choices"]:
            attempt.written.add(choice.get("message"))
        execution.finished(attempt)
        answer = answer_of(attempt.data)
        return Reply(tuple(execution.attempts), answer, "" if answer else "It answered nothing.")
    except UpstreamError as error:
        return Reply(tuple(execution.attempts), None, error.message)
    finally:
        await execution.close()


def _admitted(policy: Policy, model: str) -> Admitted:
    """Belongs to no stored decision: only the model and today's prices are read from the row."""
    now = datetime.now(UTC)
    row = Decision(id=uuid4(), created_at=now, model=model)
    course = FallbackPlan(domain="", pair=None, listed=(model,), direct=True)
    charge = Reservation(0, Limits(), now, 0, None)
    return Admitted(row, policy, course, {}, QuotaStatus(Limits()), charge)
