"""Does routing pay on a set of outcomes? Every router that needs no network, next to baselines.

Trained routers score each prompt by a fit that did not see it. Differences at the operating point
are paired: both sides are computed on the same bootstrap draws.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from experiments.analysis.ratings import Estimate
from experiments.analysis.routing.curves import Curves, Prompts, curves_of, resampled
from experiments.core.money import NANO
from experiments.formatting import exact_share
from experiments.lab.cascade_replay import folds_of
from experiments.lab.columns import Floats, OutcomeColumns
from experiments.lab.evaluations import MeasuredRouter, RouterScores, compare
from experiments.lab.multi_model import answers
from experiments.lab.prompt_routers import learning_curves, prompt_router_scores
from experiments.lab.rated_decisions import PRODUCTION
from experiments.models import OutcomeSet, RecordedOutcome
from experiments.routers.complexity import KIND as COMPLEXITY
from experiments.routers.complexity import ComplexityRouter
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import featurise
from experiments.routers.loading import RANDOM
from experiments.routers.outcomes import Outcomes, PromptOutcome, from_rows

RESAMPLES = 1_000
_LEVEL = 0.05

Step = Callable[[str], object]


class SingleModel(NamedTuple):
    """Always this model. `cost` is dollars per 1,000 requests, None where not known."""

    name: str
    quality: float
    cost: float | None


class RouterLine(NamedTuple):
    """One router at the operating point. `sure` is the lower bound of `over_random` at a level that
    allows for the number of routers compared; `over_hull` compares with the best mixture of single
    models of equal cost, None where costs are not known."""

    name: str
    apgr: Estimate | None
    quality: Estimate
    cost: float | None
    over_random: Estimate
    over_best_single: Estimate
    over_hull: float | None
    sure: float
    saving: Estimate | None
    calls_saved: Estimate | None


class Benchmark(NamedTuple):
    """`learning` is APGR by router kind and number of training pairs."""

    name: str
    n: int
    share: float
    sentence: str
    pays: bool
    gap_known: bool
    singles: tuple[SingleModel, ...]
    random: float
    oracle: float
    lines: tuple[RouterLine, ...]
    learning: Mapping[str, Mapping[int, float | None]]


def benchmark(
    columns: OutcomeColumns,
    singles: Sequence[SingleModel],
    registered: Sequence[RouterScores] = (),
    *,
    share: float = 0.5,
    seed: int = 0,
    step: Step = lambda name: None,
) -> Benchmark:
    """`columns` need the prompts; those that were not kept are left out.

    Raises NothingToMeasureError where there is no prompt.
    """
    prompts = columns.inputs.prompts if columns.inputs else ()
    kept = np.array([bool(prompt) for prompt in prompts], dtype=bool)
    kept &= np.isfinite(columns.strong + columns.weak) if len(kept) else True
    columns = columns.where(kept)
    outcomes = _outcomes(columns)
    entrants = [one._replace(values=one.values[kept]) for one in registered if one.name != RANDOM]
    entrants += _entrants(outcomes, {one.name for one in entrants}, seed, step)
    compared = compare(columns, entrants, seed=seed, by_domain=False)
    lines = tuple(
        _line(measured, entrant.values, columns, singles, share, len(entrants), seed)
        for measured, entrant in zip(compared.whole.routers, entrants, strict=True)
    )
    step("intervals")
    learning = learning_curves(outcomes, seed=seed, step=step)
    weak, strong = float(columns.weak.mean()), float(columns.strong.mean())
    gap_known = compared.baselines.oracle.gap_known
    best = max(lines, key=lambda line: line.over_random.value)
    pays = gap_known and best.sure > 0
    return Benchmark(
        name=columns.name,
        n=len(columns),
        share=share,
        sentence=_sentence(columns.name, best, gap_known=gap_known, pays=pays),
        pays=pays,
        gap_known=gap_known,
        singles=tuple(sorted(singles, key=lambda one: -one.quality)),
        random=weak + share * (strong - weak),
        oracle=_quality_at(_prompts(columns.strong - columns.weak, columns), share),
        lines=tuple(sorted(lines, key=lambda line: -line.over_random.value)),
        learning=learning,
    )


def pair_as_singles(columns: OutcomeColumns, strong: str, weak: str) -> tuple[SingleModel, ...]:
    return tuple(
        SingleModel(name, float(quality.mean()), _dollars(cost))
        for name, quality, cost in (
            (strong or "strong", columns.strong, columns.strong_cost),
            (weak or "weak", columns.weak, columns.weak_cost),
        )
    )


def hull_quality(singles: Sequence[SingleModel], cost: float) -> float | None:
    """The best mean quality of any mixture of two single models of at most this cost; None where
    a cost is not known or every model costs more."""
    known = [(one.cost, one.quality) for one in singles if one.cost is not None]
    if len(known) < len(singles):
        return None
    found = [quality for price, quality in known if price <= cost]
    for low, weak in known:
        for high, strong in known:
            if low <= cost < high:
                part = (cost - low) / (high - low)
                found.append(weak + part * (strong - weak))
    return max(found, default=None)


def _outcomes(columns: OutcomeColumns) -> Outcomes:
    prompts = columns.inputs.prompts if columns.inputs else ()
    return from_rows(
        PromptOutcome(prompt, float(strong), float(weak), "", str(group))
        for prompt, strong, weak, group in zip(
            prompts, columns.strong, columns.weak, columns.groups, strict=True
        )
    )


def _entrants(outcomes: Outcomes, named: set[str], seed: int, step: Step) -> list[RouterScores]:
    folds = folds_of(outcomes.prompts, [""] * len(outcomes), seed)
    scores = prompt_router_scores(outcomes, folds, seed=seed, step=step)
    with suppress(RouterConfigurationError):  # a LiteLLM without it
        complexity = ComplexityRouter.load()
        found = [complexity.score(featurise(prompt)) for prompt in outcomes.prompts]
        scores[COMPLEXITY] = np.array(found)
    step(COMPLEXITY)
    return [
        RouterScores(name, values, ties=None)
        for name, values in scores.items()
        if name not in named
    ]


def _prompts(scores: Floats, columns: OutcomeColumns) -> Prompts:
    return Prompts.ordered(
        scores, columns.strong, columns.weak, columns.strong_cost, columns.weak_cost
    )[0]


def _quality_at(prompts: Prompts, share: float) -> float:
    curve = curves_of(prompts)
    return float(curve.at(curve.quality, np.array([share]))[0])


def _line(
    measured: MeasuredRouter,
    scores: Floats,
    columns: OutcomeColumns,
    singles: Sequence[SingleModel],
    share: float,
    compared: int,
    seed: int,
) -> RouterLine:
    prompts = _prompts(scores, columns)
    exact, drawn = curves_of(prompts), resampled(prompts, seed=seed, resamples=RESAMPLES)
    quality = _at(exact, drawn, share)
    over_random = _over(exact, drawn, share, _mixture)
    best = max(one.quality for one in singles)
    over_best = _over(exact, drawn, share, _best_of_pair)
    # A third model may be better than both of the pair; its mean is taken as it is.
    above_pair = max(0.0, best - float(max(exact.quality[0, 0], exact.quality[0, -1])))
    cost = float(exact.at(exact.cost, np.array([share]))[0]) * 1000 / NANO
    known_cost = cost if math.isfinite(cost) else None
    hull = None if known_cost is None else hull_quality(singles, known_cost)
    found = measured.assessment
    return RouterLine(
        name=measured.name,
        apgr=_apgr(measured),
        quality=quality,
        cost=known_cost,
        over_random=over_random,
        over_best_single=Estimate(*(value - above_pair for value in over_best)),
        over_hull=None if hull is None else quality.value - hull,
        sure=float(np.quantile(_differences(drawn, share, _mixture), _LEVEL / 2 / compared)),
        saving=found.saving_against_random,
        calls_saved=found.calls_against_random,
    )


def _apgr(measured: MeasuredRouter) -> Estimate | None:
    evaluation = measured.assessment.evaluation
    value, within = evaluation.measures.apgr, evaluation.intervals.get("apgr")
    return None if value is None or within is None else Estimate(value, *within)


def _mixture(curves: Curves, share: float) -> Floats:
    """Quality of the random router at the same strong share."""
    return np.asarray((1 - share) * curves.quality[:, 0] + share * curves.quality[:, -1])


def _best_of_pair(curves: Curves, share: float) -> Floats:
    del share
    return np.asarray(np.maximum(curves.quality[:, 0], curves.quality[:, -1]))


def _differences(curves: Curves, share: float, other: Callable[[Curves, float], Floats]) -> Floats:
    ours = curves.at(curves.quality, np.full(len(curves.quality), share))
    return np.asarray(ours - other(curves, share))


def _over(
    exact: Curves, drawn: Curves, share: float, other: Callable[[Curves, float], Floats]
) -> Estimate:
    low, high = np.quantile(_differences(drawn, share, other), [_LEVEL / 2, 1 - _LEVEL / 2])
    return Estimate(float(_differences(exact, share, other)[0]), float(low), float(high))


def _at(exact: Curves, drawn: Curves, share: float) -> Estimate:
    values = drawn.at(drawn.quality, np.full(len(drawn.quality), share))
    low, high = np.quantile(values, [_LEVEL / 2, 1 - _LEVEL / 2])
    return Estimate(float(exact.at(exact.quality, np.array([share]))[0]), float(low), float(high))


def _dollars(cost: Floats) -> float | None:
    """Dollars per 1,000 requests."""
    mean = float(cost.mean()) if len(cost) else math.nan
    return mean * 1000 / NANO if math.isfinite(mean) else None


def _sentence(name: str, best: RouterLine, *, gap_known: bool, pays: bool) -> str:
    if not gap_known:
        return (
            f"No: on '{name}' the strong model is not surely better than the weak one, so always "
            "weak costs less at the same quality."
        )
    if not pays:
        return (
            f"No: on '{name}' no router is surely better than random routing at the same strong "
            f"share (the best is '{best.name}', {best.over_random.value:+.3f} quality)."
        )
    saved, what = best.saving, "of the cost"
    if saved is None:
        saved, what = best.calls_saved, "of the strong model's calls"
    amount = (
        ""
        if saved is None
        else (
            f": at 95 % of the strong model's quality it saves "
            f"{exact_share(saved.value, 0)} {what} ({exact_share(saved.low, 0)} to "
            f"{exact_share(saved.high, 0)}) compared with random "
            "routing of equal quality"
        )
    )
    return f"Yes: on '{name}' routing pays with '{best.name}'{amount}."


def singles_of_set(outcome_set: OutcomeSet, columns: OutcomeColumns) -> tuple[SingleModel, ...]:
    """Each model whose answers to every prompt of the set are known; at least the pair."""
    pair = pair_as_singles(columns, outcome_set.strong_model, outcome_set.weak_model)
    if outcome_set.name == PRODUCTION:
        return pair
    first = RecordedOutcome.objects.filter(outcome_set=outcome_set).order_by("id").first()
    others = sorted(set(first.scores if first else ()) - {one.name for one in pair})
    if not others:
        return pair
    found = answers(outcome_set, others)
    more = (
        SingleModel(name, float(quality.mean()), _dollars(cost))
        for name, quality, cost in zip(others, found.quality.T, found.cost.T, strict=True)
        if np.isfinite(quality).all()
    )
    return (*pair, *more)
