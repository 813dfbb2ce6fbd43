"""Does a calibrated threshold keep its promise, and does a quiet domain stay quiet?"""

from collections.abc import Iterator

import numpy as np

from benchmarks.tables import heading, line, share
from experiments.analysis.off_policy.nuisance import Floats
from experiments.analysis.routing.calibration import (
    Graded,
    Guarantee,
    Promise,
    Test,
    grid_of,
    guarantee,
)
from experiments.analysis.routing.drift import shift
from experiments.analysis.routing.measures import Cut

DELTA = 0.1
BIG = 400_000
DAYS = 14


def promises(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often the threshold chosen breaks the promise: at most 10 % may."""
    grid = grid_of(np.linspace(0, 1, 5001))
    big = _graded(rng, BIG)
    yield heading(
        "promise",
        "graded units",
        "p-value",
        "promise broken",
        "nothing supported",
        "strong share",
        "best",
    )
    for rho in (0.9, 0.95):
        worth = {cut.threshold: _left(big, cut, rho) for cut in grid}
        best = min(cut.realised_share for cut in grid if worth[cut.threshold] >= 0)
        for units in (300, 1000, 4000):
            for test in Test:
                promise = Promise(rho, DELTA, 1, test)
                found = [guarantee(_graded(rng, units), grid, promise) for _ in range(runs)]
                yield _promise_line(promise, units, found, worth, best)


def _promise_line(
    promise: Promise,
    units: int,
    found: list[Guarantee],
    worth: dict[float | None, float],
    best: float,
) -> str:
    chosen = [one for one in found if one.threshold is not None]
    broken = sum(worth[one.threshold] < 0 for one in chosen)
    shares = [one.strong_share or 0.0 for one in chosen]
    return line(
        f"{100 * promise.rho:.0f} % of strong quality",
        f"{units:,}",
        str(promise.test).replace("_", "-"),
        share(broken, len(found)),
        share(len(found) - len(chosen), len(found)),
        f"{100 * float(np.mean(shares)):.0f} %" if shares else "",
        f"{100 * best:.0f} %",
    )


def _graded(rng: np.random.Generator, units: int) -> Graded:
    """Two alike prompts a unit; the weak model loses 0.4 times the score."""
    unit = np.repeat(np.arange(units), 2)
    mood = 0.03 * rng.normal(0, 1, units)[unit]
    score = rng.random(len(unit))
    strong = (rng.random(len(unit)) < np.clip(0.8 + mood, 0, 1)).astype(np.float64)
    weak = (rng.random(len(unit)) < np.clip(0.8 - 0.4 * score + mood, 0, 1)).astype(np.float64)
    return Graded(unit, score, weak, strong)


def _left(big: Graded, cut: Cut, rho: float) -> float:
    kept = np.where(big.scores >= (cut.threshold or 0.0), big.strong, big.weak)
    return float(kept.mean() - rho * big.strong.mean())


def drift_alarms(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often one look says that scores moved, at a level of 0.1 %."""
    yield heading("scores moved by", "units a day", "alarms")
    for move in (0.0, 0.02, 0.05, 0.1):
        for units in (60, 300):
            alarms = 0
            for _ in range(runs):
                days = np.stack([_day(rng, units) for _ in range(DAYS)])
                found = shift(days, _day(rng, units, move))
                alarms += found is not None and found.is_certain
            yield line(f"{move:g}", str(units), share(alarms, runs))


def _day(rng: np.random.Generator, units: int, move: float = 0.0) -> Floats:
    """Units ask one to nine alike prompts, and days differ a little."""
    mean = rng.normal(0.5 + move, 0.01)
    own = np.repeat(rng.normal(mean, 0.12, units), rng.integers(1, 10, units))
    scores = np.clip(own + rng.normal(0, 0.08, len(own)), 0, 0.999)
    return np.bincount((scores * 20).astype(int), minlength=20).astype(np.float64)
