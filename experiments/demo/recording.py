"""Makes decisions with the product's own `decide` and stores them as the product does.

Prompts are scored once; all rows are the same as those of requests over HTTP.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from numpy.random import Generator

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.decision import decide
from experiments.core.policy import Policy
from experiments.core.values import DecisionInputs
from experiments.decisions.decision_rows import DecisionMetadata, to_row
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import actual_costs
from experiments.decisions.running_totals import Known, RunningTotals
from experiments.decisions.unit_totals import JUDGE, QUALITY, combined_rating
from experiments.demo.people import DemoRequest
from experiments.demo.world import FAILURES, DemoPrompt, World
from experiments.models import Decision, Feedback, Outcome
from experiments.storage.bulk_sql import insert_all
from experiments.storage.unit_hash import hash_unit

BATCH = 2_000
RATED_BY_JUDGE, JUDGE_STEPS = 0.8, 10
RATED_BY_PEOPLE = 0.06
PEOPLE = "user"
USUAL_ROUTING_US = 1_300
MS_TO_START, MS_A_TOKEN = 500.0, 7.0
SPREAD = 8.0

Expected = Mapping[tuple[str, str], int]


class Event(NamedTuple):
    """One decision and its outcome."""

    decision: Decision
    outcome: Outcome
    ratings: list[Feedback]


@dataclass(frozen=True)
class Recorder:
    """Stores prompts up to `now`. `is_lost` drops decisions that a faulty caller loses."""

    world: World
    rng: Generator
    now: datetime
    is_lost: Callable[[Decision], bool] = lambda _: False

    def record(self, policy: Policy, questions: Iterable[DemoRequest], expected: Expected) -> int:
        """How many decisions were stored. One transaction for each batch."""
        events: list[Event] = []
        stored = 0
        for question in questions:
            event = self._event(policy, question, expected)
            if not self.is_lost(event.decision):
                events.append(event)
            if len(events) == BATCH:
                stored += _store(events)
                events = []
        stored += _store(events)
        fold_all()
        return stored

    def _event(self, policy: Policy, question: DemoRequest, expected: Expected) -> Event:
        decision = self._decision(policy, question, expected)
        outcome = self._outcome(decision, question)
        ratings = self._ratings(decision, question.prompt) if outcome.success else []
        return Event(decision, outcome, [one for one in ratings if one.received_at <= self.now])

    def _decision(self, policy: Policy, question: DemoRequest, expected: Expected) -> Decision:
        prompt = question.prompt
        decision_id = self._id(question.at)
        unit_id = question.unit_id or decision_id
        situation = DecisionInputs(
            decision_id=decision_id,
            unit=Unit(HashedBuckets(unit_id), hash_unit(unit_id), question.unit_id is not None),
            candidates=prompt.candidates,
            input_tokens=prompt.input_tokens,
            day=question.at.date(),
            output_tokens=expected,
        )
        decision = decide(policy, situation, prompt.scores.__getitem__)
        stored = decision.domain.prompt_storage == "text"
        around = DecisionMetadata(
            created_at=question.at,
            unit_hash=situation.unit.hashed,
            detector=prompt.detector,
            latency_us=int(USUAL_ROUTING_US * self.rng.lognormal(0.0, 0.35)),
            metadata={"app": question.app},
            text=prompt.text if stored else None,
        )
        return to_row(decision, situation, around)

    def _id(self, at: datetime) -> str:
        """A version 7 UUID of that time, by which pruned decisions are recognised."""
        drawn = int.from_bytes(self.rng.bytes(10))
        version, variant = 7 << 76, 2 << 62
        low = drawn & ((1 << 62) - 1)
        middle = (drawn >> 62) & 0xFFF
        milliseconds = int(at.timestamp() * 1000)
        return str(UUID(int=milliseconds << 80 | version | middle << 64 | variant | low))

    def _outcome(self, decision: Decision, question: DemoRequest) -> Outcome:
        """Tokens vary around the expected number; a failed answer has none."""
        failed = self.rng.random() < FAILURES
        mean = question.prompt.answer_tokens()
        written = 0 if failed else round(self.rng.gamma(SPREAD, mean / SPREAD))
        latency_ms = MS_TO_START + MS_A_TOKEN * written * float(self.rng.lognormal(0.0, 0.2))
        ended = question.at + timedelta(milliseconds=latency_ms)
        costs = actual_costs(decision, question.prompt.input_tokens, written)
        return Outcome(
            decision=decision,
            input_tokens=question.prompt.input_tokens,
            output_tokens=written,
            latency_ms=round(latency_ms, 1),
            success=not failed,
            error="The provider did not answer in time." if failed else "",
            occurred_at=ended,
            received_at=ended,
            **costs._asdict(),
        )

    def _ratings(self, decision: Decision, prompt: DemoPrompt) -> list[Feedback]:
        """A judge's rating in tenths and sometimes a user's thumb, both unbiased."""
        quality = self.world.quality(prompt, decision.model)
        ratings = []
        if self.rng.random() < RATED_BY_JUDGE:
            value = self.rng.binomial(JUDGE_STEPS, quality) / JUDGE_STEPS
            ratings.append(self._rating(decision, JUDGE, value, minutes=10))
        if self.rng.random() < RATED_BY_PEOPLE:
            value = float(self.rng.random() < quality)
            ratings.append(self._rating(decision, PEOPLE, value, minutes=60))
        return ratings

    def _rating(self, decision: Decision, source: str, value: float, minutes: float) -> Feedback:
        at = decision.created_at + timedelta(minutes=float(self.rng.exponential(minutes)))
        return Feedback(
            decision=decision,
            metric=QUALITY,
            source=source,
            value=value,
            occurred_at=at,
            received_at=at,
        )


def _store(events: list[Event]) -> int:
    if not events:
        return 0
    totals = RunningTotals()
    for decision, outcome, ratings in events:
        totals.add_decision(decision)
        totals.update_outcome(decision, Known(), Known(outcome, combined_rating(ratings)))
    with transaction.atomic():
        insert_all([event.decision for event in events])
        insert_all([event.outcome for event in events])
        insert_all([rating for event in events for rating in event.ratings])
        totals.flush()
    return len(events)
