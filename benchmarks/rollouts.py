"""Do guarded rollouts keep their word? Simulated traffic with a known truth, in tables.

python -m benchmarks.rollouts # all tables, about an hour on one free core python -m
benchmarks.rollouts --only calls --runs 50

Every look runs `experiments.analysis.rollout.guards`, as the product does: bounds and tests of
each guard, and whether the next step is allowed. Units come back on other days and are alike with
themselves; a unit that was a control may be treated later. A share is followed by its standard
error in brackets. The same seed prints the same tables.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.tables import Table, heading, line, print_tables, share, table_options
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.plan import Direction
from experiments.analysis.rollout.failing import StepCounts, shows_harm
from experiments.analysis.rollout.guards import Guard, GuardData, GuardResult, guard_result, missing
from experiments.analysis.rollout.stratified import Floats, Observations

SEED = 20261128
ALPHA = 0.05
STEPS = (10.0, 50.0, 100.0)
CAUTIOUS = (1.0, 10.0, 50.0, 100.0)
QUALITY, FAILING, RATED = 0.8, 0.02, 0.3
ERROR_MARGIN = 0.02
# Of a day's units, how many come back on other days.
REGULARS = 0.5
# How much units differ from each other: standard deviation of a unit's own quality.
LIKENESS = 0.15


class World(NamedTuple):
    """`loss` is what the treated lose; `drift` what everything loses from the first step on that is
    taken, and from day 10 in any case."""

    loss: float = 0.0
    drift: float = 0.0
    per_day: int = 2_000
    margin: float = 0.03
    steps: tuple[float, ...] = STEPS
    days: int = 40
    looks: int = 1
    rated: float = RATED


class Ended(NamedTuple):
    """How a rollout ended: `completed`, `rolled back` or `waiting`; and the day of each step."""

    how: str
    reached: tuple[float, ...]


def error_guard() -> Guard:
    return Guard(
        "error_rate", "Error rate", ERROR_MARGIN, Direction.LOWER, EffectInterval(0, 1), True
    )


def quality_guard(margin: float) -> Guard:
    return Guard("quality", "Quality", margin, Direction.HIGHER, EffectInterval(0, 1))


@dataclass
class Traffic:
    """Rows of everything that came so far: a unit on a day of a step."""

    rng: np.random.Generator
    world: World
    rows: dict[str, list[Floats]] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = max(10, int(self.world.per_day * REGULARS * 5))
        self.own = self.rng.normal(0.0, LIKENESS, size)
        self.bucket = self.rng.random(size)
        self.new_units = size

    def arrive(self, step: int, *, drifted: bool) -> None:
        """What comes between two looks, each unit once, as a cell of its own."""
        world, n = self.world, self.rng.poisson(self.world.per_day / self.world.looks)
        regulars = min(self.rng.binomial(n, REGULARS), len(self.own))
        known = self.rng.choice(len(self.own), regulars, replace=False)
        fresh = n - regulars
        unit = np.concatenate([known, self.new_units + np.arange(fresh)])
        bucket = np.concatenate([self.bucket[known], self.rng.random(fresh)])
        own = np.concatenate([self.own[known], self.rng.normal(0.0, LIKENESS, fresh)])
        self.new_units += fresh
        treated = bucket < world.steps[step] / 100
        quality = QUALITY + own - world.loss * treated - world.drift * drifted
        rated = self.rng.random(n) < world.rated
        columns = {
            "unit": unit,
            "cell": np.full(n, len(self.steps)),
            "treated": treated,
            "good": rated & (self.rng.random(n) < np.clip(quality, 0, 1)),
            "rated": rated,
            "failed": self.rng.random(n) < FAILING + world.drift * drifted / 4,
            "calls": np.ones(n),
        }
        self.steps.append(step)
        for name, column in columns.items():
            self.rows.setdefault(name, []).append(column.astype(np.float64))

    def data(self, total: str, count: str, part: float, per_day: float) -> GuardData:
        columns = {name: np.concatenate(parts) for name, parts in self.rows.items()}
        self.rows = {name: [column] for name, column in columns.items()}
        seen = Observations(
            columns["unit"].astype(np.int64),
            columns["cell"].astype(np.int64),
            columns["treated"] > 0,
            columns[total],
            columns[count],
        )
        return GuardData(seen, np.array(self.steps), None, part, per_day)


def run(rng: np.random.Generator, world: World) -> Ended:
    """One rollout from its first step to its end, checked at every look."""
    traffic, step, reached = Traffic(rng, world), 0, [0.0]
    for look in range(world.days * world.looks):
        day = (look + 1) / world.looks
        traffic.arrive(step, drifted=step > 0 or day > 10)
        results = results_of(traffic, world, world.steps[step])
        if any(result.is_harmful for result in results):
            return Ended("rolled back", tuple(reached))
        if all(result.allows(world.steps[step + 1] / 100) for result in results):
            step += 1
            reached.append(day)
            if step == len(world.steps) - 1:
                return Ended("completed", tuple(reached))
    return Ended("waiting", tuple(reached))


def results_of(traffic: Traffic, world: World, percentage: float) -> list[GuardResult]:
    part = percentage / 100
    return [
        guard_result(
            quality_guard(world.margin),
            traffic.data("good", "rated", part, world.per_day * part * world.rated),
            alpha=ALPHA,
            guards=2,
        ),
        guard_result(
            error_guard(),
            traffic.data("failed", "calls", part, world.per_day * part),
            alpha=ALPHA,
            guards=2,
        ),
    ]


# All rated, with which a rollout at this margin can end within the days that are simulated.
PER_DAY = {0.03: 600, 0.01: 3_000}


def drift_3(rng: np.random.Generator, runs: int) -> Iterator[str]:
    return drift(rng, runs, 0.03)


def drift_1(rng: np.random.Generator, runs: int) -> Iterator[str]:
    return drift(rng, runs, 0.01)


def drift(rng: np.random.Generator, runs: int, margin: float) -> Iterator[str]:
    """Wrong ends with all traffic worse from the first step on that is taken."""
    yield heading(
        "margin (points)",
        "drift (points)",
        "no effect: rolled back",
        "no effect: completed",
        "loss of the margin: completed",
        "loss of twice the margin: completed",
    )
    for moved in (0.0, 0.05, 0.08, 0.10):
        world = World(margin=margin, drift=moved, per_day=PER_DAY[margin], rated=1.0)
        ends = [
            Counter(run(rng, world._replace(loss=loss)).how for _ in range(runs))
            for loss in (0.0, margin, 2 * margin)
        ]
        yield line(
            f"{100 * margin:.0f}",
            f"{100 * moved:.0f}",
            share(ends[0]["rolled back"], runs),
            share(ends[0]["completed"], runs),
            share(ends[1]["completed"], runs),
            share(ends[2]["completed"], runs),
        )


def days(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Days until each step without harm, at a margin of 3 points."""
    yield heading(
        "units a day",
        "steps",
        "completed",
        "days at each step, median",
        "days to 100 %: median, 90 %",
    )
    for per_day, looks, limit in ((200, 1, 700), (2_000, 1, 120), (20_000, 8, 20)):
        for steps in (CAUTIOUS, STEPS):
            world = World(per_day=per_day, looks=looks, days=limit, steps=steps)
            ends = [run(rng, world) for _ in range(runs)]
            done = [end.reached for end in ends if end.how == "completed"]
            lasted = np.median(np.diff(done, axis=1), axis=0).tolist() if done else []
            total = [reached[-1] for reached in done] or [float("nan")]
            yield line(
                f"{per_day:,}",
                ", ".join(f"{step:g}" for step in steps) + " %",
                share(len(done), runs),
                " + ".join(f"{days:.1f}" for days in lasted),
                f"{np.median(total):.0f}, {np.quantile(total, 0.9):.0f}",
            )


def calls(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Treated calls until the rollback: each call is a unit, checked after each."""
    yield heading("failing calls", "first step", "treated calls: median", "90 %")
    for failing in (1.0, 0.6, 0.3):
        for percentage in (1.0, 10.0):
            found = [_calls_until_rollback(rng, failing, percentage / 100) for _ in range(runs)]
            yield line(
                f"{100 * failing:.0f} %",
                f"{percentage:g} %",
                f"{np.median(found):.0f}",
                f"{np.quantile(found, 0.9):.0f}",
            )


def _calls_until_rollback(rng: np.random.Generator, failing: float, part: float) -> int:
    controls = control_failures = treated = failures = 0
    while True:
        others = rng.geometric(part) - 1
        controls += others
        control_failures += rng.binomial(others, FAILING)
        treated += 1
        failures += rng.random() < failing
        counts = StepCounts(controls, control_failures, treated, failures)
        if shows_harm([counts], ERROR_MARGIN, ALPHA / 2):
            return treated


def units(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Rated units with the flag that a step needs without loss, quality .8, margin 3 points."""
    yield heading(
        "step", "rated units with the flag: median", "80 % of the runs", "said at no data"
    )
    for before, after, block in ((1.0, 10.0, 2), (10.0, 50.0, 20), (50.0, 100.0, 50)):
        found = [_units_until(rng, before / 100, after / 100, block) for _ in range(runs)]
        yield line(
            f"{before:g} to {after:g} %",
            f"{np.median(found):,.0f}",
            f"{np.quantile(found, 0.8):,.0f}",
            f"{_said(before / 100, after / 100):,}",
        )


def _units_until(rng: np.random.Generator, part: float, following: float, block: int) -> int:
    good: list[Floats] = []
    treated: list[Floats] = []
    guard = quality_guard(0.03)
    for round_ in range(1, 2_000):
        controls = round(block * (1 - part) / part)
        treated.append(np.repeat([1.0, 0.0], [block, controls]))
        good.append((rng.random(block + controls) < QUALITY).astype(np.float64))
        n = round_ * (block + controls)
        cell = np.zeros(n, np.int64)
        seen = Observations(
            np.arange(n), cell, np.concatenate(treated) > 0, np.concatenate(good), np.ones(n)
        )
        data = GuardData(seen, np.zeros(1, np.int64), None, part)
        if guard_result(guard, data, alpha=ALPHA, guards=2).allows(following):
            return round_ * block
    raise RuntimeError("The step was never allowed.")


def _said(part: float, following: float) -> int:
    """What the product says is missing while there are no ratings at all."""
    none = np.zeros(0)
    empty = none.astype(np.int64)
    data = GuardData(Observations(empty, empty, none > 0, none, none), empty, None, part)
    result = guard_result(quality_guard(0.03), data, alpha=ALPHA)
    lacking = missing(result, data, following, alpha=ALPHA)
    return lacking.units or 0 if lacking else 0


TABLES = {
    "calls": Table("Treated calls until the rollback, 2 % of the others fail", calls, 500),
    "units": Table("Rated units that a step needs", units, 200),
    "days": Table("Days to 100 % with no harm, margin 3 points", days, 40),
    "drift-3": Table("Wrong ends under drift, level 5 %, margin 3 points", drift_3, 200),
    "drift-1": Table("Wrong ends under drift, level 5 %, margin 1 point", drift_1, 20),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = table_options(
        TABLES, "Simulates guarded rollouts and prints tables.", SEED, "rollouts a cell"
    )
    options = parser.parse_args(arguments)
    print_tables(TABLES, options, "rollouts a cell")


if __name__ == "__main__":
    main()
