"""An outcome set for the lab: both models on the demonstration's prompts.

Both models of the pair answer each prompt, and ten raters grade each answer. The grades are drawn
from the known truth, so the lab's results can be compared with it.
"""

import hashlib
from datetime import datetime

from numpy.random import Generator

from experiments.core.money import NANO
from experiments.demo.world import ROUTER, DemoPrompt, World
from experiments.lab.scores import scores
from experiments.models import OutcomeSet, RecordedOutcome
from experiments.routing.router_lookup import find_scorer

NAME = "simulated-trial"
RATERS = 10


def record_trial(world: World, rng: Generator, at: datetime) -> OutcomeSet:
    outcome_set = OutcomeSet.objects.create(
        name=NAME,
        source=OutcomeSet.Source.SIMULATED,
        origin="both models on every prompt of the demonstration",
        strong_model=world.strong,
        weak_model=world.weak,
        created_at=at,
        updated_at=at,
    )
    RecordedOutcome.objects.bulk_create(
        _row(outcome_set, world, prompt, rng)
        for name in sorted(world.pools)
        for prompt in world.pools[name]
    )
    scores(outcome_set, find_scorer(ROUTER))  # so that the first visitor does not wait
    return outcome_set


def _row(
    outcome_set: OutcomeSet, world: World, prompt: DemoPrompt, rng: Generator
) -> RecordedOutcome:
    strong, weak = (
        float(rng.binomial(RATERS, world.quality(prompt, model)) / RATERS)
        for model in (world.strong, world.weak)
    )
    tokens = round(prompt.answer_tokens())
    return RecordedOutcome(
        outcome_set=outcome_set,
        digest=hashlib.sha256(prompt.text.encode()).hexdigest(),
        prompt=prompt.text,
        domain=prompt.domain,
        strong_score=strong,
        weak_score=weak,
        strong_cost=round(world.cost(prompt, world.strong) * NANO),
        weak_cost=round(world.cost(prompt, world.weak) * NANO),
        strong_output_tokens=tokens,
        weak_output_tokens=tokens,
    )
