"""Evaluates a policy over several models on prompts with every model's answer.

Baselines: always each model, a random router with the policy's shares, and the oracle, which uses
the cheapest of the best answers. Intervals are percentiles of a bootstrap over bags of prompts, as
in `curves`. All are resampled together, so differences are paired.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.ratings import Estimate
from experiments.analysis.routing.curves import Codes, dealt
from experiments.analysis.routing.measures import interval

Floats = NDArray[np.float64]
RESAMPLES = 1_000


class Figures(NamedTuple):
    """Means a prompt. `cost` is in nano-dollars, None where not every cost is known."""

    quality: Estimate
    cost: Estimate | None


class SeveralFigures(NamedTuple):
    """`shares` and `always` have one element a model. `over_random` is the difference in quality;
    the savings are shares of the other's cost that are not spent."""

    n: int
    shares: tuple[Estimate, ...]
    policy: Figures
    always: tuple[Figures, ...]
    random: Figures
    oracle: Figures
    over_random: Estimate
    saving_against_first: Estimate | None
    saving_against_random: Estimate | None


def assess_several(
    chosen: Codes,
    quality: Floats,
    cost: Floats,
    *,
    seed: int,
    units: Codes | None = None,
    resamples: int = RESAMPLES,
) -> SeveralFigures:
    """`quality` and `cost` have a row a prompt and a column a model, the strongest first; `chosen`
    is the column that the policy takes. Costs that are not all finite count as not known. `units`
    are numbers of what is drawn together.

    Raises ValueError for no prompt, or qualities that are not finite.
    """
    if not len(chosen) or not np.isfinite(quality).all():
        raise ValueError("An assessment needs prompts, with finite qualities.")
    parts = _parts(chosen, quality, cost)
    bag, times = dealt(len(chosen), seed=seed, resamples=resamples, units=units)
    whole = np.zeros(len(chosen), np.int64), np.ones((1, 1))
    exact, drawn = (
        _measures(*(_means(part, *over) for part in parts)) for over in (whole, (bag, times))
    )
    found = {name: _estimate(values, drawn[name]) for name, values in exact.items()}
    return _figures(len(chosen), quality.shape[1], found)


def _parts(chosen: Codes, quality: Floats, cost: Floats) -> tuple[Floats, ...]:
    """What is averaged: the share, quality and cost of each model, then quality and cost of what
    the policy takes and of the best."""
    rows, models = np.arange(len(chosen)), quality.shape[1]
    known = np.isfinite(cost).all()
    price = cost if known else np.tile(-np.arange(models, dtype=np.float64), (len(rows), 1))
    is_best = quality >= quality.max(axis=1, keepdims=True)
    best = np.where(is_best, price, np.inf).argmin(axis=1)
    spent = cost if known else np.full_like(quality, np.nan)
    ours, oracle = (
        np.column_stack((quality[rows, taken], spent[rows, taken])) for taken in (chosen, best)
    )
    return np.eye(models)[chosen], quality, spent, ours, oracle


def _means(columns: Floats, bag: Codes, times: Floats) -> Floats:
    """A row a draw; a row of `times` says how often each bag is in it."""
    bags = times.shape[1]
    sums = np.column_stack([np.bincount(bag, one, minlength=bags) for one in columns.T])
    n = times @ np.bincount(bag, minlength=bags)
    return np.asarray((times @ sums) / n[:, None])


def _measures(
    share: Floats, quality: Floats, cost: Floats, ours: Floats, oracle: Floats
) -> dict[str, Floats]:
    random_quality, random_cost = (share * quality).sum(axis=1), (share * cost).sum(axis=1)
    first = cost[:, 0]
    by_model = {
        f"{name} {place}": column
        for name, columns in (("share", share), ("quality", quality), ("cost", cost))
        for place, column in enumerate(columns.T)
    }
    return by_model | {
        "policy": ours[:, 0],
        "policy cost": ours[:, 1],
        "oracle": oracle[:, 0],
        "oracle cost": oracle[:, 1],
        "random": random_quality,
        "random cost": random_cost,
        "over random": ours[:, 0] - random_quality,
        "against first": 1 - ours[:, 1] / np.where(first > 0, first, np.nan),
        "against random": 1 - ours[:, 1] / np.where(random_cost > 0, random_cost, np.nan),
    }


def _estimate(exact: Floats, drawn: Floats) -> Estimate:
    """NaN where it is not known."""
    within = interval(drawn)
    value = float(exact[0])
    return Estimate(value, *within) if within else Estimate(value, np.nan, np.nan)


def _figures(n: int, models: int, found: dict[str, Estimate]) -> SeveralFigures:
    def known(name: str) -> Estimate | None:
        return found[name] if np.isfinite(found[name].value) else None

    places = range(models)
    return SeveralFigures(
        n=n,
        shares=tuple(found[f"share {place}"] for place in places),
        policy=Figures(found["policy"], known("policy cost")),
        always=tuple(Figures(found[f"quality {one}"], known(f"cost {one}")) for one in places),
        random=Figures(found["random"], known("random cost")),
        oracle=Figures(found["oracle"], known("oracle cost")),
        over_random=found["over random"],
        saving_against_first=known("against first"),
        saving_against_random=known("against random"),
    )
