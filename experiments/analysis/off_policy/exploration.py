"""What exploring would cost, and how long until it answers, where the log cannot say anything.

With exploration rate e the other model of the pair gets the share e of a domain's requests. Of the
requests where a candidate differs from the log, e times the share rated then bear on it. Their
variance, over all requests, is about ``d v / (e r)`` with `d` the share that differs, `v` the
variance of a rating and `r` the share rated: from it follows how many days an answer of a wanted
half width takes.
"""

from math import ceil
from typing import NamedTuple

import numpy as np

from experiments.analysis.off_policy.estimates import (
    LEAST_ODDS,
    MIN_EXPLORATIONS,
    OTHER,
    STRONG,
    WEAK,
    Log,
    Rows,
)
from experiments.analysis.ratings import Z95

RATE = 0.02
HALF_WIDTH = 0.02
LEAST_RATE = 0.005
"""From here on a log counts as exploring."""


class Advice(NamedTuple):
    """Explore `rate` of a domain's requests. `daily_cost` is in the log's money, negative where
    exploring saves; `days` None: never, because nothing is rated or nothing differs. `is_on` says
    that the log explores already, at this rate, and only needs longer."""

    rate: float
    daily_requests: float
    daily_cost: float | None
    differing: float
    rated: float
    days: int | None
    is_on: bool = False


def advise(
    log: Log,
    to_strong: Rows,
    days: float,
    *,
    rows: Rows | None = None,
    rate: float = RATE,
    half_width: float = HALF_WIDTH,
) -> Advice:
    """For requests of the last `days` days, all or those of `rows`."""
    asked = np.ones(len(log), bool) if rows is None else rows
    pair = asked & (log.took != OTHER)
    n = int(pair.sum())
    daily = n / days if days > 0 else 0.0
    differs = pair & (np.where(to_strong, STRONG, WEAK) != log.took)
    rated = np.isfinite(log.rating) & pair
    explored = float(log.odds[pair].min(axis=1).mean()) if n else 0.0
    is_on = explored >= LEAST_RATE
    rate = explored if is_on else rate
    share_rated = float(rated.sum()) / n if n else 0.0
    differing = float(differs.sum()) / n if n else 0.0
    return Advice(
        rate=rate,
        daily_requests=daily,
        daily_cost=_daily_cost(log, pair, daily, rate),
        differing=differing,
        rated=share_rated,
        days=_days(log, rated, daily * differing, share_rated, rate, half_width, daily),
        is_on=is_on,
    )


def wants_exploration(log: Log, to_strong: Rows, rows: Rows) -> bool:
    """Whether a part of the requests can only be answered for by exploring."""
    odds = np.where(to_strong, log.odds[:, STRONG], log.odds[:, WEAK])
    return bool((rows & (log.took != OTHER) & (odds < LEAST_ODDS)).any())


def _daily_cost(log: Log, pair: Rows, daily: float, rate: float) -> float | None:
    known = pair & np.isfinite(log.expected).all(axis=1)
    if not known.any():
        return None
    side = log.took[known]
    taken = np.take_along_axis(log.expected[known], side[:, None], axis=1)[:, 0]
    other = np.take_along_axis(log.expected[known], 1 - side[:, None], axis=1)[:, 0]
    return daily * rate * float((other - taken).mean())


def _days(
    log: Log,
    rated: Rows,
    daily_differing: float,
    share_rated: float,
    rate: float,
    half_width: float,
    daily: float,
) -> int | None:
    a_day = daily_differing * rate * share_rated
    if a_day <= 0:
        return None
    variance = max(float(log.rating[rated].var()), 0.01)
    differing = daily_differing / daily
    wanted = Z95**2 * variance * differing / (rate * share_rated) / half_width**2 / daily
    return max(1, ceil(max(MIN_EXPLORATIONS / a_day, wanted)))
