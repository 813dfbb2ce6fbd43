"""A router judged on recorded outcomes, beside a coin and an oracle."""

from dataclasses import dataclass

import numpy as np

from experiments.analysis.routing import Evaluation, evaluate
from experiments.routers.features import featurise
from experiments.routers.loading import Scorer
from experiments.routers.outcomes import Outcomes


@dataclass(frozen=True)
class RouterEvaluation:
    n: int
    router: Evaluation
    random: Evaluation
    oracle: Evaluation

    def as_dict(self) -> dict[str, object]:
        """For JSON. An undefined measure is null and has no interval."""
        return {
            "n": self.n,
            "router": _as_dict(self.router),
            "random": _as_dict(self.random),
            "oracle": _as_dict(self.oracle),
        }


def evaluate_router(
    router: Scorer, outcomes: Outcomes, seed: int, resamples: int = 1000
) -> RouterEvaluation:
    scores = np.array([router.score(featurise(prompt)) for prompt in outcomes.prompts])
    strong, weak = outcomes.strong, outcomes.weak
    coin = np.zeros(len(outcomes))
    return RouterEvaluation(
        n=len(outcomes),
        router=evaluate(scores, strong, weak, seed=seed, resamples=resamples),
        random=evaluate(coin, strong, weak, seed=seed, resamples=resamples),
        oracle=evaluate(strong - weak, strong, weak, seed=seed, resamples=resamples),
    )


def _as_dict(evaluation: Evaluation) -> dict[str, object]:
    intervals = {name: list(interval) for name, interval in evaluation.intervals.items()}
    return {**evaluation.measures._asdict(), "intervals": intervals}
