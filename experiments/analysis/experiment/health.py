"""Health checks of an experiment's data, made before any verdict.

An alarm makes the verdict `unhealthy`. A warning does not: the verdict itself accounts for too few
units and unequal shares of ratings, and a stop of requests does not invalidate earlier ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, gammaln

from experiments.analysis.errors import CountError
from experiments.analysis.experiment.lee_bounds import RatedShares, rated_shares_differ
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE
from experiments.analysis.experiment.summaries import plain_mean

# Fewer units than this in an arm: no result is shown.
MINIMUM_SHOWN = 50
SAMPLE_RATIO_LEVEL = 0.01
SAMPLE_RATIO_CONCENTRATION = 100.0
MULTIPLE_EXPOSURE_LIMIT = 0.01
PRICE_COVERAGE_LIMIT = 0.95
HOURS_WITHOUT_TRAFFIC = 24.0

# exp(700) is near the largest float; larger E-values are reported as this.
_LARGEST_LOG = 700.0


class CheckStatus(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ALARM = "alarm"


class HealthCode(StrEnum):
    SAMPLE_RATIO = "sample_ratio"
    MULTIPLE_EXPOSURES = "multiple_exposures"
    TOO_FEW_UNITS = "too_few_units"
    RATED_SHARE = "rated_share"
    PRICE_COVERAGE = "price_coverage"
    TRAFFIC_STOPPED = "traffic_stopped"


class HealthCheck(NamedTuple):
    """One check: its value, its limit, and the figures behind it.

    `about` is the arm or the table with that value. `seen` and `expected`: units per arm for the
    sample ratio; the excluded units; the rated shares of control and treatment.
    """

    code: HealthCode
    status: CheckStatus
    value: float | None
    limit: float | None
    about: str = ""
    seen: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()

    @property
    def passed(self) -> bool:
        return self.status is CheckStatus.OK


@dataclass(frozen=True, slots=True)
class Health:
    checks: tuple[HealthCheck, ...] = ()

    @property
    def alarms(self) -> tuple[HealthCheck, ...]:
        return tuple(check for check in self.checks if check.status is CheckStatus.ALARM)

    @property
    def healthy(self) -> bool:
        return not self.alarms

    @property
    def traffic_stopped(self) -> HealthCheck | None:
        stopped = (
            check
            for check in self.checks
            if check.code is HealthCode.TRAFFIC_STOPPED and check.status is not CheckStatus.OK
        )
        return next(stopped, None)


class UnitTable(NamedTuple):
    """Units per arm and the arms' weights, of the whole experiment or of one domain."""

    name: str
    counts: tuple[int, ...]
    weights: tuple[float, ...]


class SampleRatio(NamedTuple):
    """The test of a table. The E-value may be checked every day, the chi-square p-value once."""

    name: str
    counts: tuple[int, ...]
    expected: tuple[float, ...]
    log_e_value: float
    threshold: float
    alarm: bool
    chi_square_p_value: float

    @property
    def e_value(self) -> float:
        return exp(min(self.log_e_value, _LARGEST_LOG))


def log_e_values(counts: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Lindon and Malek's sequential multinomial test, as log E; the last axis holds the arms.

    E = G(c) / G(c + n) prod_i G(c w_i + n_i) / G(c w_i) w_i^-n_i with c = 100: the units under a
    Dirichlet spread around the planned weights against the weights themselves.
    """
    n_i = np.asarray(counts, dtype=np.float64)
    planned = SAMPLE_RATIO_CONCENTRATION * np.asarray(weights, dtype=np.float64)
    terms = gammaln(planned + n_i) - gammaln(planned)
    terms -= n_i * np.log(planned / SAMPLE_RATIO_CONCENTRATION)
    total = SAMPLE_RATIO_CONCENTRATION + n_i.sum(axis=-1)
    result: NDArray[Any] = gammaln(SAMPLE_RATIO_CONCENTRATION) - gammaln(total) + terms.sum(axis=-1)
    return result


def sample_ratio(table: UnitTable, *, tables: int = 1) -> SampleRatio:
    """Whether the units match the weights. `tables` is the total number of tables tested."""
    weights = _normalised(table)
    n = sum(table.counts)
    expected = tuple(n * weight for weight in weights)
    log_e = float(log_e_values(table.counts, weights))
    threshold = tables / SAMPLE_RATIO_LEVEL
    squares = (
        sum((seen - e) ** 2 / e for seen, e in zip(table.counts, expected, strict=True))
        if n
        else 0.0
    )
    p = float(chdtrc(len(weights) - 1, squares)) if len(weights) > 1 else 1.0
    return SampleRatio(
        table.name, table.counts, expected, log_e, threshold, log_e >= log(threshold), p
    )


def check_sample_ratio(tables: Sequence[UnitTable]) -> HealthCheck:
    """SRM over the experiment's table and its domains' together; the worst is reported."""
    if not tables:
        raise CountError("There are no tables of units; give at least the experiment's own.")
    worst = max((sample_ratio(t, tables=len(tables)) for t in tables), key=lambda r: r.log_e_value)
    figures = (worst.name, worst.counts, tuple(map(round, worst.expected)))
    status = _status(worst.alarm)
    return HealthCheck(HealthCode.SAMPLE_RATIO, status, worst.e_value, worst.threshold, *figures)


def check_multiple_exposures(
    excluded: int, units: int, *, limit: float = MULTIPLE_EXPOSURE_LIMIT
) -> HealthCheck:
    """`excluded` units were seen in two arms; `units` were seen in one."""
    share = excluded / (excluded + units) if excluded else 0.0
    status = _status(share > limit)
    return HealthCheck(HealthCode.MULTIPLE_EXPOSURES, status, share, limit, seen=(excluded,))


def check_units(units: Mapping[str, int]) -> HealthCheck:
    """With fewer than 50 units in an arm, no results are shown."""
    if not units:
        raise CountError("There are no arms to count; give the units of each, 0 included.")
    arm, fewest = min(units.items(), key=lambda item: item[1])
    status = _status(fewest < MINIMUM_SHOWN, CheckStatus.WARNING)
    return HealthCheck(HealthCode.TOO_FEW_UNITS, status, fewest, MINIMUM_SHOWN, arm)


def check_rated_share(
    rated: RatedShares,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> HealthCheck:
    """Whether the arms have the same share of ratings: missing feedback can bias results."""
    differ = rated_shares_differ(rated, alpha=alpha, tuning_sample_size=tuning_sample_size)
    control, treatment = (plain_mean(arm) for arm in rated)
    gap = treatment.mean - control.mean if control and treatment else None
    seen = (control.mean, treatment.mean) if control and treatment else ()
    status = _status(bool(differ), CheckStatus.WARNING)
    return HealthCheck(HealthCode.RATED_SHARE, status, gap, None, seen=seen)


def check_price_coverage(
    priced: Mapping[str, tuple[int, int]], *, limit: float = PRICE_COVERAGE_LIMIT
) -> HealthCheck:
    """(priced, all) decisions per arm: costs over different subsets are not comparable."""
    shares = {arm: part / whole for arm, (part, whole) in priced.items() if whole}
    arm, share = min(shares.items(), key=lambda item: item[1], default=("", 1.0))
    return HealthCheck(HealthCode.PRICE_COVERAGE, _status(share < limit), share, limit, arm)


def check_traffic(
    hours_quiet: float, *, waiting: int = 0, limit: float = HOURS_WITHOUT_TRAFFIC
) -> HealthCheck:
    """Hours since the last request of any unit, or since the start.

    `waiting` units have an open window: they will count later.
    """
    stopped = hours_quiet > limit and not waiting
    status = _status(stopped, CheckStatus.WARNING)
    return HealthCheck(HealthCode.TRAFFIC_STOPPED, status, hours_quiet, limit)


def _status(failed: bool, worst: CheckStatus = CheckStatus.ALARM) -> CheckStatus:
    return worst if failed else CheckStatus.OK


def _normalised(table: UnitTable) -> tuple[float, ...]:
    total = sum(table.weights)
    if len(table.counts) != len(table.weights) or min(table.weights, default=0) <= 0:
        raise CountError(
            f"{len(table.counts)} counts do not match the weights {table.weights}; "
            "give one weight above 0 for every arm and leave out arms without weight."
        )
    if min(table.counts) < 0:
        raise CountError(f"The counts {table.counts} include one below 0.")
    return tuple(weight / total for weight in table.weights)
