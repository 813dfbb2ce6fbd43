"""Simulated experiments judged every day: wrong verdicts, and power against a single look."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import batches, heading, line, share
from benchmarks.worlds import COST, FAILURES, QUALITY, Arm, Truth, draw_arm
from experiments.analysis.experiment.plan import (
    ArmData,
    Direction,
    Guardrail,
    MeasuredGuardrail,
    Plan,
    Primary,
)
from experiments.analysis.experiment.power import Design, SampleSize, guardrail_goal, plan_size
from experiments.analysis.experiment.verdict import VerdictCode, judge

DAYS = 60
PER_DAY = 100
ALPHA = 0.05
SAVING = 0.3

QUALITY_RULE = Guardrail("quality", 0.03)
FAILURE_RULE = Guardrail("failures", 0.01, Direction.LOWER, boolean=True)
WRONG = (VerdictCode.SHIP, VerdictCode.ROLL_BACK, VerdictCode.MIXED)


class Case(NamedTuple):
    name: str
    treatment: Truth
    treatments: int = 1
    guardrails: tuple[Guardrail, ...] = (QUALITY_RULE,)
    phases: int = 1


AT_MARGIN = Truth(
    COST * (1 - SAVING), QUALITY - QUALITY_RULE.margin, FAILURES + FAILURE_RULE.margin
)
BOTH = (QUALITY_RULE, FAILURE_RULE)
CASES = (
    Case("A/A", Truth()),
    Case("A/A, 2 treatments, 2 guardrails", Truth(), 2, BOTH),
    Case("A/A, 3 phases of 20 days", Truth(), phases=3),
    Case("loss at the margin, 30 % saved", AT_MARGIN),
    Case("loss at both margins, 30 % saved, 2 treatments", AT_MARGIN, 2, BOTH),
)


def wrong_verdicts(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often each verdict is ever given in 60 daily looks; ship and roll back end a run."""
    yield heading("case", "ship", "roll back", "mixed", "ship, peeking at single-look bounds")
    for case in CASES:
        seen, peeked = dict.fromkeys(WRONG, 0), 0
        for size in batches(runs):
            phases = [draw_phase(rng, case, size) for _ in range(case.phases)]
            for run in range(size):
                for outcome in verdicts_of(case, phases, run):
                    seen[outcome] += 1
            shipped = [peeking_ships(case, arms) for arms in phases]
            peeked += int(np.logical_or.reduce(shipped).sum())
        yield line(case.name, *(share(seen[o], runs) for o in WRONG), share(peeked, runs))


def draw_phase(rng: np.random.Generator, case: Case, runs: int) -> list[Arm]:
    truths = [Truth(), *[case.treatment] * case.treatments]
    days = DAYS // case.phases
    return [draw_arm(rng, truth, runs=runs, days=days, per_day=PER_DAY) for truth in truths]


def verdicts_of(case: Case, phases: Sequence[Sequence[Arm]], run: int) -> set[VerdictCode]:
    """The decisive verdicts of one experiment on its way through all its phases."""
    seen: set[VerdictCode] = set()
    for number, arms in enumerate(phases, start=1):
        days = DAYS // case.phases
        # The planned size is reached half way, so that `mixed` can be given too.
        planned = PER_DAY * days * len(arms) // 2
        plan = daily_plan(case.guardrails, phase=number, planned_units=planned)
        for day in range(days):
            outcome = verdict_on(plan, arms, run, day)
            if outcome in WRONG:
                seen.add(outcome)
            if outcome in (VerdictCode.SHIP, VerdictCode.ROLL_BACK):
                return seen
    return seen


def daily_plan(
    guardrails: tuple[Guardrail, ...],
    *,
    phase: int = 1,
    planned_units: int | None = None,
    tuning_sample_size: float = 5000,
) -> Plan:
    return Plan(
        Primary(target_effect=COST / 20),
        guardrails,
        alpha=ALPHA,
        phase=phase,
        tuning_sample_size=tuning_sample_size,
        minimum_days=1,
        planned_units=planned_units,
    )


def verdict_on(plan: Plan, arms: Sequence[Arm], run: int, day: int) -> VerdictCode:
    data = [arm_data(plan, arm, run, day) for arm in arms]
    return judge(plan, data[0], data[1:], days=day + 1).outcome


def arm_data(plan: Plan, arm: Arm, run: int, day: int) -> ArmData:
    measured = {
        "quality": lambda: MeasuredGuardrail(arm.quality.summary(run, day)),
        "failures": lambda: MeasuredGuardrail(arm.failures(run, day)),
    }
    guardrails = tuple(measured[guardrail.name]() for guardrail in plan.guardrails)
    return ArmData("arm", int(arm.cost.n[day]), arm.cost.summary(run, day), guardrails)


def peeking_ships(case: Case, arms: Sequence[Arm]) -> NDArray[np.bool_]:
    """Runs that would ship at some look if each look were taken for the only one."""
    z = NormalDist().inv_cdf(1 - ALPHA / case.treatments)
    shipped = np.zeros(len(arms[0].failed), dtype=bool)
    for arm in arms[1:]:
        cheaper = _bound(arms[0].cost.estimates(), arm.cost.estimates(), z) < 0
        inside = _bound(arm.quality.estimates(), arms[0].quality.estimates(), z) < (
            QUALITY_RULE.margin
        )
        if FAILURE_RULE in case.guardrails:
            failing = _bound(_failure_share(arms[0]), _failure_share(arm), z)
            inside &= failing < FAILURE_RULE.margin
        shipped |= (cheaper & inside).any(axis=1)
    return shipped


def _bound(
    control: tuple[NDArray[np.float64], NDArray[np.float64]],
    treatment: tuple[NDArray[np.float64], NDArray[np.float64]],
    z: float,
) -> NDArray[np.float64]:
    """The upper single-look bound of treatment minus control."""
    bound: NDArray[np.float64] = treatment[0] - control[0] + z * np.sqrt(control[1] + treatment[1])
    return bound


def _failure_share(arm: Arm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = arm.cost.n
    smoothed = (arm.failed + 1) / (n + 2)
    return arm.failed / n, smoothed * (1 - smoothed) / n


def power(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """Ship at any of 60 looks against one look at the size a single look needs."""
    size = _size(rng)
    single, per_day = size.single_look_units // 2, -(-size.units // (2 * DAYS))
    yield (
        f"Planned for 80 % power at no loss and a margin of {100 * QUALITY_RULE.margin:.0f} "
        f"points: {size.single_look_units:,} units for one look, {size.units:,} for looking every "
        f"day ({size.times_a_single_look:.2f} times).\n"
    )
    yield heading(
        "true loss (points)", "one look", "daily looks", "rolled back", "units when shipped, mean"
    )
    for loss in (0.0, 0.01, 0.02, 0.03, 0.05):
        truth = Truth(COST * (1 - SAVING), QUALITY - loss)
        once = single_look_ships(rng, truth, runs, single)
        ends = [
            end
            for batch in batches(runs, 20)
            for end in _ends(rng, truth, batch, per_day, size.tuning_sample_size)
        ]
        shipped = [units for outcome, units in ends if outcome is VerdictCode.SHIP]
        rolled_back = sum(outcome is VerdictCode.ROLL_BACK for outcome, _ in ends)
        mean = f"{sum(shipped) / len(shipped):,.0f}" if shipped else "-"
        yield line(
            f"{100 * loss:.0f}",
            share(once, runs),
            share(len(shipped), runs),
            share(rolled_back, runs),
            mean,
        )


def _size(rng: np.random.Generator) -> SampleSize:
    pilot = draw_arm(rng, Truth(), runs=1, days=1, per_day=200_000).quality.summary(0, 0)
    size = plan_size([guardrail_goal(QUALITY_RULE, pilot)], Design(alpha=ALPHA))
    if not isinstance(size, SampleSize):
        raise TypeError(size)
    return size


def single_look_ships(rng: np.random.Generator, truth: Truth, runs: int, per_arm: int) -> int:
    case, shipped = Case("single look", truth), 0
    for size in batches(runs):
        arms = [
            draw_arm(rng, each, runs=size, days=1, per_day=per_arm) for each in (Truth(), truth)
        ]
        shipped += int(peeking_ships(case, arms).sum())
    return shipped


def _ends(
    rng: np.random.Generator, truth: Truth, runs: int, per_day: int, tuning: float
) -> Iterator[tuple[VerdictCode, int]]:
    arms = [draw_arm(rng, each, runs=runs, days=DAYS, per_day=per_day) for each in (Truth(), truth)]
    plan = daily_plan((QUALITY_RULE,), tuning_sample_size=tuning)
    for run in range(runs):
        outcome = VerdictCode.KEEP_RUNNING
        for day in range(DAYS):
            outcome = verdict_on(plan, arms, run, day)
            if outcome in (VerdictCode.SHIP, VerdictCode.ROLL_BACK):
                break
        yield outcome, 2 * per_day * (day + 1)
