"""Aggregates of one arm: counts, means, variances.

`from_sums` takes integer sums of fixed-point values from a database and is exact up to the one
division that makes each float. Variances are sample variances (divided by n - 1). A mean of no
units, or a variance of fewer than two, is 0.0; results from such a summary report "too few units"
and never show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Self

from experiments.analysis.errors import SummaryError

# Below this share of what is being subtracted, a difference of variances is rounding error.
_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class MeanSummary:
    """A value per unit."""

    n: int
    mean: float
    variance: float

    def __post_init__(self) -> None:
        _check(self.n, (self.mean,), (self.variance,))

    @classmethod
    def from_sums(cls, n: int, total: int, total_of_squares: int, *, scale: int = 1) -> Self:
        """`total` and `total_of_squares` of integers that stand for `value * scale`."""
        return cls(n, _mean(n, total, scale), _variance(n, total, total_of_squares, scale))

    @classmethod
    def from_successes(cls, n: int, successes: int) -> Self:
        """A yes or no per unit. The variance comes from p = (successes + 1) / (n + 2).

        So the variance is never 0, even if no failure was observed yet.
        """
        if not 0 <= successes <= n:
            raise SummaryError(f"{successes} successes of {n} units; give between 0 and {n}.")
        return cls(n, successes / n if n else 0.0, smoothed_variance(n, successes))


@dataclass(frozen=True, slots=True)
class RatioSummary:
    """Two values per unit whose sums are divided: answers rated good / answers rated."""

    n: int
    numerator_mean: float
    numerator_variance: float
    denominator_mean: float
    denominator_variance: float
    covariance: float

    def __post_init__(self) -> None:
        _check(
            self.n,
            (self.numerator_mean, self.denominator_mean, self.covariance),
            (self.numerator_variance, self.denominator_variance),
        )

    @classmethod
    def from_sums(
        cls,
        n: int,
        numerator_total: int,
        numerator_total_of_squares: int,
        denominator_total: int,
        denominator_total_of_squares: int,
        total_of_products: int,
        *,
        numerator_scale: int = 1,
        denominator_scale: int = 1,
    ) -> Self:
        """Sums over units of fixed-point integers: y, y y, x, x x and x y."""
        y, x = numerator_total, denominator_total
        return cls(
            n,
            _mean(n, y, numerator_scale),
            _variance(n, y, numerator_total_of_squares, numerator_scale),
            _mean(n, x, denominator_scale),
            _variance(n, x, denominator_total_of_squares, denominator_scale),
            _covariance(n, y, x, total_of_products, numerator_scale * denominator_scale),
        )

    def linearised(self) -> MeanSummary | None:
        """The ratio as a mean with one unit's variance (delta method); None without denominator.

        Units are independent, requests of a unit are not: so each unit's sums are compared with the
        values expected from the ratio, `(y - R x) / mean(x)`.
        """
        if self.denominator_mean <= 0:
            return None
        ratio = self.numerator_mean / self.denominator_mean
        gross = self.numerator_variance + ratio * ratio * self.denominator_variance
        variance = without_rounding(gross - 2 * ratio * self.covariance, gross)
        return MeanSummary(self.n, ratio, variance / self.denominator_mean**2)


@dataclass(frozen=True, slots=True)
class CovariateMeanSummary:
    """A value per unit, and the same unit's value from before its first exposure."""

    n: int
    mean: float
    variance: float
    covariate_mean: float
    covariate_variance: float
    covariance: float

    def __post_init__(self) -> None:
        _check(
            self.n,
            (self.mean, self.covariate_mean, self.covariance),
            (self.variance, self.covariate_variance),
        )

    @classmethod
    def from_sums(
        cls,
        n: int,
        total: int,
        total_of_squares: int,
        covariate_total: int,
        covariate_total_of_squares: int,
        total_of_products: int,
        *,
        scale: int = 1,
        covariate_scale: int = 1,
    ) -> Self:
        """Sums over units of fixed-point integers: y, y y, y0, y0 y0 and y y0."""
        return cls(
            n,
            _mean(n, total, scale),
            _variance(n, total, total_of_squares, scale),
            _mean(n, covariate_total, covariate_scale),
            _variance(n, covariate_total, covariate_total_of_squares, covariate_scale),
            _covariance(n, total, covariate_total, total_of_products, scale * covariate_scale),
        )

    def plain(self) -> MeanSummary:
        """The same arm without its history."""
        return MeanSummary(self.n, self.mean, self.variance)


@dataclass(frozen=True, slots=True)
class CovariateRatioSummary:
    """A ratio, and the same units' ratio from before their first exposure.

    Order everywhere: numerator, denominator, earlier numerator, earlier denominator
    (y, x, y0, x0). Units without history have y0 = x0 = 0.
    """

    n: int
    means: tuple[float, float, float, float]
    covariance: tuple[tuple[float, float, float, float], ...]

    def __post_init__(self) -> None:
        rows = self.covariance
        if len(self.means) != 4 or len(rows) != 4 or any(len(row) != 4 for row in rows):
            raise SummaryError("Give four means and a 4x4 covariance, in the order y, x, y0, x0.")
        if any(rows[i][j] != rows[j][i] for i in range(4) for j in range(i)):
            raise SummaryError("The covariance is not symmetric; give the same number both ways.")
        flat = tuple(value for row in rows for value in row)
        _check(self.n, (*self.means, *flat), tuple(rows[i][i] for i in range(4)))

    @classmethod
    def from_sums(
        cls,
        n: int,
        totals: Sequence[int],
        products: Sequence[Sequence[int]],
        *,
        scales: Sequence[int] = (1, 1, 1, 1),
    ) -> Self:
        """Totals of y, x, y0, x0 and the 4x4 totals of their products, fixed-point integers."""
        if len(totals) != 4 or len(products) != 4 or len(scales) != 4:
            raise SummaryError("Give four totals, 4x4 products and four scales: y, x, y0, x0.")

        def cell(i: int, j: int) -> float:
            product, scale = products[i][j], scales[i] * scales[j]
            if i == j:
                return _variance(n, totals[i], product, scales[i])
            return _covariance(n, totals[i], totals[j], product, scale)

        y, x, y0, x0 = (_mean(n, totals[i], scales[i]) for i in range(4))
        rows = tuple((cell(i, 0), cell(i, 1), cell(i, 2), cell(i, 3)) for i in range(4))
        return cls(n, (y, x, y0, x0), rows)

    def plain(self) -> RatioSummary:
        """The same arm without its history."""
        rows = self.covariance
        return RatioSummary(
            self.n, self.means[0], rows[0][0], self.means[1], rows[1][1], rows[0][1]
        )

    def linearised(self) -> CovariateMeanSummary | None:
        """Z and C of each unit as means and covariance; None without denominator or history."""
        _, x, y0, x0 = self.means
        now = self.plain().linearised()
        rows = self.covariance
        before = RatioSummary(self.n, y0, rows[2][2], x0, rows[3][3], rows[2][3]).linearised()
        if now is None or before is None:
            return None
        crossed = (
            rows[0][2]
            - before.mean * rows[0][3]
            - now.mean * rows[1][2]
            + now.mean * before.mean * rows[1][3]
        )
        return CovariateMeanSummary(
            self.n, now.mean, now.variance, before.mean, before.variance, crossed / (x * x0)
        )


Summary = MeanSummary | RatioSummary | CovariateMeanSummary | CovariateRatioSummary


def plain_mean(summary: Summary) -> MeanSummary | None:
    """Any summary as a mean and one unit's variance, history set aside; None if undefined."""
    match summary:
        case MeanSummary():
            return summary
        case RatioSummary():
            return summary.linearised()
        case CovariateMeanSummary():
            return summary.plain()
        case CovariateRatioSummary():
            return summary.plain().linearised()


def smoothed_variance(n: int, successes: float) -> float:
    """p (1 - p) at p = (successes + 1) / (n + 2)."""
    share = (successes + 1) / (n + 2)
    return share * (1 - share)


def without_rounding(variance: float, gross: float) -> float:
    """A difference of variances; 0 if it is only the rounding error of its terms.

    Otherwise a metric with the same value in every unit would get a tiny variance and false
    certainty.
    """
    return variance if variance > _ROUNDING * gross else 0.0


def _mean(n: int, total: int, scale: int) -> float:
    if n < 0 or scale < 1:
        raise SummaryError(f"n is {n} and the scale {scale}; give n >= 0 and a scale >= 1.")
    return total / (n * scale) if n else 0.0


def _variance(n: int, total: int, total_of_squares: int, scale: int) -> float:
    if n * total_of_squares < total * total:
        raise SummaryError(
            f"No {n} values have the total {total} and the total of squares {total_of_squares}; "
            "sum both over the same units, in the same scale."
        )
    return _covariance(n, total, total, total_of_squares, scale * scale)


def _covariance(n: int, left: int, right: int, products: int, scale: int) -> float:
    if n < 2:
        return 0.0
    return (n * products - left * right) / (n * (n - 1) * scale)


def _check(n: int, values: Sequence[float], variances: Sequence[float]) -> None:
    if n < 0:
        raise SummaryError(f"n is {n}; count units from 0.")
    if not all(isfinite(value) for value in (*values, *variances)):
        raise SummaryError(
            "A summary has a value that is not a number; leave out such units before summing."
        )
    if min(variances) < 0:
        raise SummaryError(f"A variance is {min(variances)}; variances are never below 0.")
