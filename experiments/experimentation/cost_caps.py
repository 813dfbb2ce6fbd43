"""The most that one unit of an experiment counts for, fixed at the start."""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_CEILING, Decimal

from experiments.experimentation.forecasts import PolicyForecast
from experiments.experimentation.planning import recent_cap
from experiments.models import Experiment

REQUESTS = 100
LEAST_CAP, LARGEST_CAP = Decimal("0.000000001"), Decimal(9_000)


def proposed_cap(
    experiment: Experiment, policies: Sequence[PolicyForecast], today: date
) -> Decimal | None:
    """US dollars: the 99th percentile of recent units, else a hundred requests of the most
    expensive arm. Rounded up to two digits; None if no cost is known."""
    costs = [policy.cost for policy in policies if policy.cost is not None]
    cap = recent_cap(experiment, today) or REQUESTS * max(costs, default=0.0)
    if not cap > 0:
        return None
    exact = Decimal(repr(cap))
    step = Decimal(10) ** (exact.adjusted() - 1)
    rounded = (exact / step).to_integral_value(ROUND_CEILING) * step
    return min(max(rounded, LEAST_CAP), LARGEST_CAP).quantize(LEAST_CAP)
