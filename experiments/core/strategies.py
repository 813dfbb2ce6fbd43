"""How the domain selector ranks the models that passed its filters.

Every strategy breaks ties by cost or accuracy and finally by key, so that equal registries give
equal results. Costs are those of a nominal request with 1,000 input and 500 output tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from experiments.core.catalog import SPEED_RATINGS, Model

NOMINAL_INPUT_TOKENS = 1000
NOMINAL_OUTPUT_TOKENS = 500
# Milliseconds assumed for a speed rating without measurements.
RATED_LATENCY = dict(zip(SPEED_RATINGS, (3000.0, 1500.0, 500.0), strict=True))
ACCURACY_WEIGHT, COST_WEIGHT, SPEED_WEIGHT = 0.5, 0.3, 0.2

Strategy = Callable[[Sequence[Model]], Model]


def nominal_cost(model: Model) -> float | None:
    """US dollars for a nominal request, or None if the price is unknown."""
    if not model.cost.is_priced:
        return None
    return model.cost.calculate_cost(NOMINAL_INPUT_TOKENS, NOMINAL_OUTPUT_TOKENS)


def latency(model: Model) -> float:
    """The measured median in milliseconds, else the value assumed for the speed rating."""
    if model.metrics and model.metrics.latency_p50:
        return model.metrics.latency_p50
    return RATED_LATENCY.get(model.capabilities.speed_rating, RATED_LATENCY["medium"])


def by_cost(model: Model) -> tuple[float, float, str]:
    """Sort key: cheapest first; unknown prices last."""
    cost = nominal_cost(model)
    return (inf if cost is None else cost, -model.capabilities.accuracy_score, model.key)


def by_accuracy(model: Model) -> tuple[float, float, str]:
    cost, negative_accuracy, key = by_cost(model)
    return (negative_accuracy, cost, key)


def by_speed(model: Model) -> tuple[float, float, float, str]:
    return (latency(model), *by_accuracy(model))


def cost_optimized(models: Sequence[Model]) -> Model:
    return min(models, key=by_cost)


def accuracy_optimized(models: Sequence[Model]) -> Model:
    return min(models, key=by_accuracy)


def performance_optimized(models: Sequence[Model]) -> Model:
    return min(models, key=by_speed)


def balanced(models: Sequence[Model]) -> Model:
    """Weights accuracy by .5, cost by .3 and speed by .2.

    Each is the relative gain over the worst candidate (in expected errors, dollars, milliseconds),
    so that units do not matter. An unknown price counts as the worst.
    """
    errors = [1 - model.capabilities.accuracy_score for model in models]
    known = [cost for model in models if (cost := nominal_cost(model)) is not None]
    highest = max(known, default=0.0)
    costs = [highest if (cost := nominal_cost(model)) is None else cost for model in models]
    scores = [
        ACCURACY_WEIGHT * accuracy + COST_WEIGHT * cost + SPEED_WEIGHT * speed
        for accuracy, cost, speed in zip(
            _gains(errors), _gains(costs), _gains([latency(model) for model in models]), strict=True
        )
    ]
    ranked = sorted(
        zip(scores, models, strict=True), key=lambda item: (-item[0], *by_cost(item[1]))
    )
    return ranked[0][1]


def _gains(values: Sequence[float]) -> list[float]:
    worst = max(values)
    return [1 - value / worst if worst > 0 else 0.0 for value in values]


STRATEGIES: Mapping[str, Strategy] = {
    "balanced": balanced,
    "cost_optimized": cost_optimized,
    "performance_optimized": performance_optimized,
    "accuracy_optimized": accuracy_optimized,
}
