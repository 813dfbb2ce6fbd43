"""Fills an empty database with the demonstration: thirty days in well under a minute."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from django.db.models import F

from experiments.configuration.policy_store import store
from experiments.configuration.seeding import seed
from experiments.demo.people import DAYS, DemoRequest, asked
from experiments.demo.recording import Recorder
from experiments.demo.story import Story, StoryStep, is_lost
from experiments.demo.trial import record_trial
from experiments.demo.world import World, build_world
from experiments.experimentation.daily_results import record_all
from experiments.models import Decision, PolicyRevision, Rollout
from experiments.rollouts import lifecycle
from experiments.routing import token_estimates
from experiments.routing.runtime import engine

SEED = 20261122


class NotEmptyError(Exception):
    """The database already holds decisions."""

    def __init__(self) -> None:
        super().__init__(
            "This database holds decisions. The demonstration is only written into an empty one."
        )


class Filled(NamedTuple):
    decisions: int
    world: World


def fill(
    now: datetime, scale: float = 1.0, report: Callable[[str], None] = lambda _: None
) -> Filled:
    """The `DAYS` days up to `now`. The same `now` and `scale` give the same decisions.

    Raises NotEmptyError.
    """
    if Decision.objects.exists():
        raise NotEmptyError
    now = now.astimezone(UTC)
    seed()
    policy = store.current()
    engine.warm_up(policy)
    world = build_world(policy, now.date())
    rng = np.random.default_rng(SEED)
    questions = asked(world.pools, now, rng, scale)
    recorder = Recorder(world, rng, now, is_lost)
    begin = now - timedelta(days=DAYS)
    _date_back(0, begin - timedelta(hours=1))
    stored = 0
    steps = sorted((*Story(world, now, scale).steps(), *_rounds(begin, now)), key=lambda s: s.at)
    for step, until in _stretches(steps, now):
        _take(step)
        token_estimates.invalidate()
        batch = _between(questions, step.at, until)
        stored += recorder.record(store.current(), batch, token_estimates.expected_output_tokens())
        report(f"{step.at:%Y-%m-%d %H:%M}  {stored:,} decisions")
    record_trial(world, np.random.default_rng(SEED), now - timedelta(days=2))
    return Filled(stored, world)


def _rounds(begin: datetime, now: datetime) -> Iterator[StoryStep]:
    """The scheduler's jobs: rollouts advance every six hours, results are stored every night."""
    first = datetime.combine(begin.date(), time(), UTC)
    for number in range(1, 4 * DAYS + 4):
        at = first + timedelta(hours=6 * number)
        if begin < at < now:
            yield StoryStep(at, lifecycle.advance_all)
            if at.hour == 0:
                yield StoryStep(at + timedelta(minutes=5), record_all)


def _stretches(steps: list[StoryStep], now: datetime) -> Iterator[tuple[StoryStep, datetime]]:
    """Each step, and when the next one is due."""
    last = StoryStep(now, lambda _: None)
    for step, following in pairwise([*steps, last]):
        yield step, following.at


def _take(step: StoryStep) -> None:
    before = PolicyRevision.objects.count()
    step.do(step.at)
    _date_back(before, step.at)
    store.invalidate()


def _date_back(before: int, at: datetime) -> None:
    """Sets the simulated time on rows that take it from the clock."""
    PolicyRevision.objects.filter(number__gt=before).update(created_at=at)
    Rollout.objects.filter(started_at=at).update(created_at=F("started_at"))


def _between(questions: list[DemoRequest], since: datetime, until: datetime) -> list[DemoRequest]:
    return [one for one in questions if since <= one.at < until]
