"""Accumulates a response while it is sent, if the other model is to answer the same prompt."""

from collections.abc import Mapping
from typing import Any

import orjson

from experiments.core.eligibility import NOT_ALLOWED
from experiments.core.policy import Method
from experiments.core.shadowing import is_shadowed, other_of
from experiments.core.values import Pair
from experiments.gateway.admission import Admitted
from experiments.gateway.protocols.model_call import ModelCall
from experiments.shadow.queue import ShadowCandidate

LARGEST_BODY = 256 * 1024
# Delivery options and the user: not relevant to the other model.
NOT_ASKED = ("model", "models", "metadata", "n", "store", "stream", "stream_options", "user")


class ResponseAccumulator:
    """Accumulates the first choice of a response, complete or in chunks."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, choice: Any) -> None:
        """A choice with its `message`, or with a `delta` of it."""
        if not isinstance(choice, dict) or choice.get("index", 0) != 0:
            return
        part = choice.get("message") or choice.get("delta")
        if not isinstance(part, dict):
            return
        for name in ("content", "refusal"):
            if isinstance(part.get(name), str):
                self._words.append(part[name])
        for number, call in enumerate(part.get("tool_calls") or ()):
            self._hear_call(number, call)

    @property
    def answer(self) -> str:
        """The text for a judge: the content, then the tool calls."""
        calls = (self._calls[index] for index in sorted(self._calls))
        calls_text = [f"(calls {call.get('name')} with {call.get('arguments')})" for call in calls]
        words = "".join(self._words)
        return "\n".join([*([words] if words else []), *calls_text])

    def _hear_call(self, number: int, call: Any) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            return
        index = call.get("index", number)
        known = self._calls.setdefault(index if isinstance(index, int) else number, {})
        for name in ("name", "arguments"):
            known[name] = known.get(name, "") + str(function.get(name) or "")


class ShadowRecorder(ResponseAccumulator):
    """Records one call's request and response."""

    def __init__(self, call: ModelCall, admitted: Admitted) -> None:
        super().__init__()
        self._call = call
        self._admitted = admitted

    def candidate(self, model: str) -> ShadowCandidate | None:
        """The candidate to compare with the answer of `model`, if the other model can answer it."""
        row = self._admitted.decision
        other = other_of(Pair(row.strong_model, row.weak_model), model)
        if other is None or not self._may_read(other):
            return None
        if self._call.obstacle:
            return None
        chat = self._call.chat_body
        body = {name: value for name, value in chat.items() if name not in NOT_ASKED}
        if len(orjson.dumps(body)) > LARGEST_BODY:
            return None
        return ShadowCandidate(row, model, other, body, self.answer, self._call.text)

    def _may_read(self, other: str) -> bool:
        """The other model must be one that the key and the domain allow for this prompt."""
        policy, unavailable = self._admitted.policy, self._admitted.unavailable
        domain = policy.domains[self._admitted.decision.domain]
        if other in unavailable or other not in policy.permitted(domain, None, frozenset()):
            return False
        judge = policy.shadowing.judge
        return judge is None or unavailable.get(judge) != NOT_ALLOWED


def recorder_for(call: ModelCall, admitted: Admitted) -> ShadowRecorder | None:
    """A call that names its model is not recorded: it has no other model of a pair."""
    row = admitted.decision
    if row.method == Method.DIRECT or not row.strong_model:
        return None
    if not is_shadowed(admitted.policy, row.domain, str(row.pk)):
        return None
    return ShadowRecorder(call, admitted)


def answer_of(data: Mapping[str, Any]) -> str:
    """The first choice of a complete response."""
    accumulator = ResponseAccumulator()
    for choice in data.get("choices") or ():
        accumulator.add(choice)
    return accumulator.answer
