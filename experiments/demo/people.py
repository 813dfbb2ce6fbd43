"""Simulated users: each arrives, sends a few prompts within a day or two, and does not return."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from experiments.demo.world import DemoPrompt

DAYS = 30
ARRIVALS = 340.0
WEEKEND = 0.6
MORE_QUESTIONS = 2.4
STRAYS = 0.15
WITHOUT_UNIT = 0.04
APPS = ("help desk", "editor", "assistant")
SHARES = {
    "technical": 0.24,
    "general": 0.17,
    "educational": 0.13,
    "creative": 0.11,
    "scientific": 0.12,
    "financial": 0.09,
    "medical": 0.09,
    "legal": 0.05,
}
# The relative traffic of each hour from midnight UTC.
BUSY = np.array([2, 1, 1, 1, 2, 3, 5, 8, 11, 13, 14, 13, 12, 14, 14, 13, 12, 10, 8, 7, 6, 5, 4, 3])


class DemoRequest(NamedTuple):
    """One prompt of a user. `unit_id` is None if the caller sends none."""

    at: datetime
    unit_id: str | None
    prompt: DemoPrompt
    app: str


def asked(
    pools: Mapping[str, Sequence[DemoPrompt]], now: datetime, rng: Generator, scale: float = 1.0
) -> list[DemoRequest]:
    """All prompts of the `DAYS` days up to `now`, in order. `scale` is the share to keep."""
    first = now.astimezone(UTC).date() - timedelta(days=DAYS)
    found: list[DemoRequest] = []
    person = 0
    for number in range(DAYS + 1):
        day = datetime.combine(first + timedelta(days=number), time(), UTC)
        rate = ARRIVALS * scale * (WEEKEND if day.weekday() >= 5 else 1.0)
        for _ in range(int(rng.poisson(rate))):
            person += 1
            found += _questions(pools, day, f"user-{person:06d}", rng)
    begin = now - timedelta(days=DAYS)
    return sorted((one for one in found if begin <= one.at < now), key=lambda one: one.at)


def _questions(
    pools: Mapping[str, Sequence[DemoPrompt]], day: datetime, unit_id: str, rng: Generator
) -> Iterator[DemoRequest]:
    names, weights = list(SHARES), np.array(list(SHARES.values()))
    own, app = str(rng.choice(names, p=weights)), str(rng.choice(APPS))
    for _ in range(1 + int(rng.poisson(MORE_QUESTIONS))):
        name = own if rng.random() >= STRAYS else str(rng.choice(names, p=weights))
        pool = pools[name]
        yield DemoRequest(
            at=day + timedelta(days=int(rng.random() < 0.3)) + _time_of_day(rng),
            unit_id=None if rng.random() < WITHOUT_UNIT else unit_id,
            prompt=pool[int(rng.integers(len(pool)))],
            app=app,
        )


def _time_of_day(rng: Generator) -> timedelta:
    hour = int(rng.choice(24, p=BUSY / BUSY.sum()))
    return timedelta(hours=hour, seconds=float(rng.uniform(0, 3600)))
