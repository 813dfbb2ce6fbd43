"""Whether the treated fail more often, from the first calls on, without an approximation.

Counts of few calls are far from normal: with nine failing calls nothing asymptotic may be said.
So harm in a share (errors, fallbacks, slow calls) is tested with an e-process: the likelihood of
both sides under a mixture of rates, divided by the largest likelihood that any rates without harm
give (universal inference, Wasserman, Ramdas and Balakrishnan 2020). The chance that it ever exceeds
1 / alpha is at most alpha where nothing is wrong. It holds for any values between 0 and 1 too,
because such values are less extreme than yes and no. A unit has a weight of 1 in all, spread over
its steps, so whatever its calls have in common does no harm (Hölder's inequality).
"""

from collections.abc import Sequence
from math import exp, inf, log
from typing import NamedTuple

import numpy as np
from scipy.special import betaln

from experiments.analysis.rollout.stratified import Floats, Ints, Observations

# Fewer failing units than this are one burst rather than a finding.
FEWEST_FAILING = 5.0
_PRIOR = 0.5
_BISECTIONS = 60


class StepCounts(NamedTuple):
    """Units and failures of one step on both sides. Fractions count."""

    controls: float
    control_failures: float
    treated: float
    treated_failures: float


def counts_by_step(seen: Observations, step_of_cell: Ints) -> tuple[StepCounts, ...]:
    """Rows as units per step, each unit with a weight of 1 over all its steps."""
    rows = seen.with_values()
    if not rows.unit.size:
        return ()
    steps, units = int(step_of_cell.max()) + 1, int(rows.unit.max()) + 1
    key = (rows.unit * steps + step_of_cell[rows.cell]) * 2 + rows.treated
    counted = np.bincount(key, rows.count)
    keys = np.flatnonzero(counted)
    count, total = counted[keys], np.bincount(key, rows.total)[keys]
    unit, side = keys // 2 // steps, keys // 2 % steps + steps * (keys % 2)
    weight = count / np.bincount(unit, count, minlength=units)[unit]
    n = _summed(side, weight, steps)
    failures = _summed(side, weight * total / count, steps)
    return tuple(
        StepCounts(float(n[0, s]), float(failures[0, s]), float(n[1, s]), float(failures[1, s]))
        for s in range(steps)
    )


def _summed(side: Ints, values: Floats, steps: int) -> Floats:
    sums: Floats = np.bincount(side, values, minlength=2 * steps).astype(np.float64)
    return sums.reshape(2, steps)


def log_evidence(steps: Sequence[StepCounts], margin: float) -> float:
    """Log e-value that the treated fail more often than the controls by more than `margin`.

    Harm may begin at any step: the evidence from step j on is weighed with 1 / (j (j + 1)).
    -inf while fewer than five treated units failed.
    """
    if sum(step.treated_failures for step in steps) < FEWEST_FAILING:
        return -inf
    since, parts = 0.0, []
    for number in range(len(steps), 0, -1):
        since += _log_ratio(steps[number - 1], margin)
        parts.append(since - log(number * (number + 1)))
    largest = max(parts)
    return largest + log(sum(_exp(part - largest) for part in parts))


def shows_harm(steps: Sequence[StepCounts], margin: float, alpha: float) -> bool:
    """Wrong, at any look ever, with probability alpha at most."""
    return log_evidence(steps, margin) >= -log(alpha)


def _exp(value: float) -> float:
    return exp(value) if value > -700 else 0.0


def _log_ratio(step: StepCounts, margin: float) -> float:
    mixture = _mixture(step.controls, step.control_failures)
    mixture += _mixture(step.treated, step.treated_failures)
    return mixture - _best_without_harm(step, margin)


def _mixture(n: float, failures: float) -> float:
    prior = _PRIOR, _PRIOR
    return float(betaln(failures + _PRIOR, n - failures + _PRIOR) - betaln(*prior))


def _best_without_harm(step: StepCounts, margin: float) -> float:
    """The largest log likelihood of rates with treated <= control + margin."""
    control = step.control_failures / step.controls if step.controls else 1.0
    treated = step.treated_failures / step.treated if step.treated else 0.0
    if treated > control + margin:
        control = _at_the_margin(step, margin)
        treated = control + margin
    return _log_likelihood(step.controls, step.control_failures, control) + _log_likelihood(
        step.treated, step.treated_failures, treated
    )


def _at_the_margin(step: StepCounts, margin: float) -> float:
    """The likeliest control rate if the treated rate is `margin` above: its slope falls."""
    low, high = 0.0, 1.0 - margin
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        slope = _slope(step.controls, step.control_failures, middle)
        slope += _slope(step.treated, step.treated_failures, middle + margin)
        low, high = (middle, high) if slope > 0 else (low, middle)
    return (low + high) / 2


def _slope(n: float, failures: float, rate: float) -> float:
    gained = failures / rate if failures else 0.0
    lost = (n - failures) / (1 - rate) if n > failures else 0.0
    return gained - lost


def _log_likelihood(n: float, failures: float, rate: float) -> float:
    held = n - failures
    failed = failures * log(rate) if failures > 0 else 0.0
    return failed + (held * log(1 - rate) if held > 0 else 0.0)
