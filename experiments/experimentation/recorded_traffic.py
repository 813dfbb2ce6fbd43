"""Recorded questions as the traffic of an experiment: which unit asks what and when.

The recordings have both models' results on every question, so the true effect of policies over
those models is known and can be compared with the experiment's verdict.
"""

import random
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from experiments.decisions.outcomes import actual_costs
from experiments.models import Decision, Experiment
from experiments.routers.outcomes import PromptOutcome
from experiments.routing.route import RouteRequest, configuration, decide_one

NANO = 1_000_000_000
MOST_REQUESTS = 5
LONGEST_VISIT = 3


class ReplayError(Exception):
    """A replay that is not possible. The message says what to do."""


class RecordedQuestion(NamedTuple):
    """One question by one unit. `day` counts from the first of the replay."""

    day: int
    unit: str
    question: PromptOutcome


class Truth(NamedTuple):
    """A policy's true cost in US dollars per request, and its quality, over all questions."""

    cost: float
    quality: float


def draw(
    questions: Sequence[PromptOutcome], units: int, days: int, window: int, chance: random.Random
) -> Iterator[RecordedQuestion]:
    """Units spread evenly over the days, each with one to five questions of one subject.

    Draws with replacement, each question with the same probability, so the units are a sample of
    all recordings. Requests of a unit are similar.
    """
    subjects: dict[str, list[PromptOutcome]] = defaultdict(list)
    for question in questions:
        subjects[question.group].append(question)
    for number in range(units):
        own = subjects[chance.choice(questions).group]
        for _ in range(chance.randint(1, MOST_REQUESTS)):
            visit = chance.randrange(min(LONGEST_VISIT, window))
            yield RecordedQuestion(
                number * days // units + visit, f"replayed-{number}", chance.choice(own)
            )


def request_of(
    asked: RecordedQuestion, experiment: Experiment, at: datetime, salt: str
) -> RouteRequest:
    """The request of a caller. An experiment on one domain names it instead of detecting it."""
    return RouteRequest(
        asked.question.prompt,
        unit_id=f"{salt}-{asked.unit}",
        domain=experiment.domain.name if experiment.domain else None,
        at=at,
    )


def output_tokens(question: PromptOutcome) -> int:
    """A synthetic count from 50 to 450, the same for both models: recordings have none."""
    return 50 + zlib.crc32(question.prompt.encode()) % 401


def quality_of(question: PromptOutcome, decision: Decision) -> float:
    """The chosen model's quality on it. Raises ReplayError for a model outside the pair."""
    if decision.model == decision.strong_model:
        return question.strong
    if decision.model == decision.weak_model:
        return question.weak
    raise ReplayError(
        f"The arm '{decision.arm}' answered with {decision.model}, which is not in its pair, so "
        "the recordings lack its quality. Use another method, or a pair that can answer."
    )


def truth_of(
    experiment: Experiment, arm: str, questions: Iterable[PromptOutcome], at: datetime
) -> Truth:
    """Decides every question with the arm's policy, without storing anything.

    Leaves out questions of domains outside the experiment, as the experiment does.
    """
    policy, expected = configuration()
    domain = experiment.domain.name if experiment.domain else None
    cost, quality, asked = 0, 0.0, 0
    for question in questions:
        request = RouteRequest(question.prompt, domain=domain, force_arm=arm, at=at)
        row = decide_one(policy, expected, request)
        if row.experiment == experiment.key:
            cost += cost_of(row, question)
            quality += quality_of(question, row)
            asked += 1
    if not asked:
        raise ReplayError(
            "None of the questions is in the experiment: switch its domain's flag on, or give it "
            "a domain."
        )
    return Truth(cost / asked / NANO, quality / asked)


def cost_of(row: Decision, question: PromptOutcome) -> int:
    found = actual_costs(row, row.input_tokens, output_tokens(question)).cost
    if found is None:
        raise ReplayError(f"Model {row.model} has no price. Enter one, then replay.")
    return found


def days_of(drawn: Iterator[RecordedQuestion]) -> dict[int, list[RecordedQuestion]]:
    by_day: dict[int, list[RecordedQuestion]] = defaultdict(list)
    for asked in drawn:
        by_day[asked.day].append(asked)
    return by_day


def noon(begin: datetime, day: int) -> datetime:
    return begin + timedelta(days=day, hours=12)
