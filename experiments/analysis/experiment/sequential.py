"""Always-valid intervals and p-values: valid at every look, for any number of looks.

Asymptotic confidence sequences with a normal mixture. N is the number of units of both arms
together, the tuning size N* the number at which the interval is tightest; N* is fixed before the
start, because choosing it from the data would break the guarantee.
"""

from math import exp, isfinite, log, log1p, sqrt

from experiments.analysis.errors import LevelError

DEFAULT_TUNING_SAMPLE_SIZE = 5000


def phase_alpha(alpha: float, phase: int) -> float:
    """The level that phase 1, 2, ... of an experiment spends: all phases together spend alpha.

    A verdict uses one phase's data only. With `alpha / (j (j + 1))` for phase j the chance
    that any phase, ever, gives a wrong verdict stays at most alpha, since the levels sum to it.
    """
    _check_level(alpha, below=1.0)
    if phase < 1:
        raise LevelError(f"Phase {phase} does not exist; phases count from 1.")
    return alpha / (phase * (phase + 1))


def tuning_parameter(alpha: float, tuning_sample_size: float) -> float:
    """rho squared: how the mixture spreads its certainty around the tuning size."""
    _check_level(alpha, below=1.0)
    if not (isfinite(tuning_sample_size) and tuning_sample_size > 0):
        raise LevelError(
            f"The tuning sample size is {tuning_sample_size}; give the number of units, of both "
            "arms together, at which the experiment is planned to be decided."
        )
    spent = -2 * log(alpha)
    return (spent + log(spent + 1)) / tuning_sample_size


def half_width(
    standard_error: float,
    n: int,
    *,
    alpha: float,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> float:
    """Half the width of the two-sided interval, for display. `n` counts both arms' units."""
    spread = n * tuning_parameter(alpha, tuning_sample_size)
    return standard_error * _boundary(spread, log(sqrt(spread + 1) / alpha))


def one_sided_half_width(
    standard_error: float,
    n: int,
    *,
    alpha: float,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> float:
    """Distance from the estimate to a bound that is wrong, ever, with probability alpha at most.

    Verdicts use it: one bound, all of alpha. `n` counts both arms' units.
    """
    _check_level(alpha, below=0.5)
    spread = n * tuning_parameter(2 * alpha, tuning_sample_size)
    return standard_error * _boundary(spread, log1p(sqrt(spread + 1) / (2 * alpha)))


def p_value(
    z: float,
    n: int,
    *,
    alpha: float,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> float:
    """The always-valid p-value of a z statistic: below alpha exactly when the interval misses 0."""
    spread = n * tuning_parameter(alpha, tuning_sample_size)
    return min(1.0, sqrt(spread + 1) * exp(-z * z * spread / (2 * (spread + 1))))


def _boundary(spread: float, certainty: float) -> float:
    # sqrt(N) * sqrt(2 (N rho2 + 1) / (N^2 rho2) * certainty), with the N cancelled.
    return sqrt(2 * (spread + 1) / spread * certainty)


def _check_level(alpha: float, *, below: float) -> None:
    if not 0 < alpha < below:
        raise LevelError(f"The level alpha is {alpha}; it must lie between 0 and {below}.")
