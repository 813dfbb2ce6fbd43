"""Recorded questions as the traffic of an experiment: who asks what and when, and what is true.

The recordings know how both models did on every question. So the effect of an experiment between
policies that answer with those models is known, and its verdict can be held against it.
"""

import random
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from experiments.decisions.outcomes import actual_costs
from experiments.models import Decision, Experiment
from experiments.routers.outcomes import Outcome
from experiments.routing.route import RouteRequest, configuration, decide_one

NANO = 1_000_000_000
MOST_REQUESTS = 5
LONGEST_VISIT = 3


class ReplayError(Exception):
    """A replay that cannot be done, with what to do."""


class RecordedQuestion(NamedTuple):
    """One question by one unit. `day` counts from the first of the replay."""

    day: int
    unit: str
    question: Outcome


class Truth(NamedTuple):
    """What a policy costs in US dollars a request, and its quality, over all questions."""

    cost: float
    quality: float


def draw(
    questions: Sequence[Outcome], units: int, days: int, window: int, chance: random.Random
) -> Iterator[RecordedQuestion]:
    """Units come evenly over the days, each with one to five questions of one subject.

    Everything is drawn with replacement and each question is as likely as any other, so the whole
    of the recordings is what the units are a sample of. Requests of a unit are alike.
    """
    subjects: dict[str, list[Outcome]] = defaultdict(list)
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
    """As a caller would send it. Of a domain's experiment the domain is told, not detected."""
    return RouteRequest(
        asked.question.prompt,
        unit_id=f"{salt}-{asked.unit}",
        domain=experiment.domain.name if experiment.domain else None,
        at=at,
    )


def output_tokens(question: Outcome) -> int:
    """Recordings have no token counts: the same made-up one for both models, 50 to 450."""
    return 50 + zlib.crc32(question.prompt.encode()) % 401


def quality_of(question: Outcome, decision: Decision) -> float:
    """How the model that was chosen did on it. Raises ReplayError for any but the pair's two."""
    if decision.model == decision.strong_model:
        return question.strong
    if decision.model == decision.weak_model:
        return question.weak
    raise ReplayError(
        f"The arm '{decision.arm}' answered with {decision.model}, which is not of its pair, so "
        "nobody recorded how it did. Give the arm another method, or a pair that can answer."
    )


def truth_of(experiment: Experiment, arm: str, questions: Iterable[Outcome], at: datetime) -> Truth:
    """The arm's policy asked every question, through the decision itself, and nothing stored.

    Questions of domains that are not in the experiment are left out, as their decisions are.
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


def cost_of(row: Decision, question: Outcome) -> int:
    found = actual_costs(row, row.input_tokens, output_tokens(question)).cost
    if found is None:
        raise ReplayError(f"There is no price for {row.model}. Enter one, then replay.")
    return found


def days_of(drawn: Iterator[RecordedQuestion]) -> dict[int, list[RecordedQuestion]]:
    by_day: dict[int, list[RecordedQuestion]] = defaultdict(list)
    for asked in drawn:
        by_day[asked.day].append(asked)
    return by_day


def noon(begin: datetime, day: int) -> datetime:
    return begin + timedelta(days=day, hours=12)
