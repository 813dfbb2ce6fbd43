"""Plays a file of recorded outcomes through the learning loop, without the database.

`pgr = (q - q_weak) / (q_strong - q_weak)` over the second half of the rows; None where the lower
95 % bound of the gap is not above 0.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.claims import Claim
from experiments.analysis.learning.gain_model import GainModel
from experiments.analysis.learning.prompt_kernel import PromptKernel
from experiments.analysis.learning.replay import Chances, Played, RecordedTraffic, Rules, play
from experiments.analysis.routing.curves import is_surely_positive, standard_error
from experiments.core.bucketing import bucket
from experiments.routers.features import featurise
from experiments.routers.learning_features import (
    LearningFeatures,
    shipped_quantiles,
    standard_score,
)
from experiments.routers.local import LocalRouter
from experiments.routers.outcomes import Outcomes

SHARE_AFTER = 200
POLICIES = ("random", "shipped", "learned")
UNDEFINED = "the strong model is not surely better than the weak one on these rows"

_LARGEST_UNIT = 0.01

Advance = Callable[[int, int], None]
Floats = NDArray[np.float64]


class PolicyFigures(NamedTuple):
    """Means over orders, second half. `error` is the standard error of `quality` in one order."""

    pgr: float | None
    share: float
    quality: float
    error: float


class LearningFigures(NamedTuple):
    """What a replay found; `served` and `claims` say what the loop did in each order."""

    requests: int
    orders: int
    rounds: int
    pairs: float
    share_after_200: float | None
    policies: dict[str, PolicyFigures]
    served: float
    claims: Counter[Claim]


def prepare_traffic(
    outcomes: Outcomes, advance: Advance = lambda done, total: None
) -> RecordedTraffic:
    """Score and vectorize each prompt once. `advance` gets how many of how many are done."""
    router = LocalRouter.load()
    features = LearningFeatures(router)
    inputs, scores = [], []
    for at, prompt in enumerate(outcomes.prompts):
        seen = featurise(prompt, router.embedding)
        inputs.append(features.inputs(seen))
        scores.append(router.score(seen))
        if at % 50 == 49:
            advance(at + 1, len(outcomes))
    shipped = np.array(scores)
    domains = _numbered(outcomes.domains)
    vectors = features.vectors(inputs, domains)
    units = _numbered(_units(outcomes))
    model = GainModel(PromptKernel(vectors), standard_score(shipped), units)
    cold = shipped_quantiles(router.score)
    return RecordedTraffic(model, shipped, outcomes.strong, outcomes.weak, domains, cold)


def replay_learning(
    traffic: RecordedTraffic,
    rules: Rules,
    *,
    orders: int = 1,
    seed: int = 0,
    advance: Advance = lambda done, total: None,
) -> LearningFigures:
    """Order 1 is the file's, further ones are seeded shuffles; the figures are their means."""
    blocks = -(-len(traffic) // 50)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        advance(done, orders * blocks)

    played = []
    for number, order in enumerate(_orders(len(traffic), orders, seed)):
        chances = _chances(len(traffic), seed, number)
        played.append((order, play(traffic, order, rules, chances, step)))
    return _figures(traffic, played)


def figures_payload(found: LearningFigures) -> dict[str, Any]:
    """The figures as `replay_learning --json` prints them."""
    return {
        "n": found.requests,
        "orders": found.orders,
        "rounds": found.rounds,
        "pairs": found.pairs,
        "share_from_200": found.share_after_200,
        "second_half": {name: _policy_payload(one) for name, one in found.policies.items()},
    }


def _policy_payload(one: PolicyFigures) -> dict[str, Any]:
    payload = {"pgr": one.pgr, "share": one.share, "quality": one.quality, "se": one.error}
    return payload if one.pgr is not None else {**payload, "reason": UNDEFINED}


def _orders(count: int, orders: int, seed: int) -> Iterator[NDArray[np.intp]]:
    yield np.arange(count)
    rng = np.random.default_rng(seed)
    for _ in range(orders - 1):
        yield rng.permutation(count)


def _chances(count: int, seed: int, order: int) -> Chances:
    """Ties and pairs hash the place in the order, each with a seed of its own."""
    ids = [f"{order}:{place}" for place in range(count)]
    ties = [bucket(f"replay-ties:{seed}", one) for one in ids]
    pairs = [bucket(f"replay-pairs:{seed}", one) for one in ids]
    return Chances(np.array(ties), np.array(pairs))


def _units(outcomes: Outcomes) -> Sequence[str]:
    """A group is a unit (a person, a conversation) if none holds over 1 % of the rows.

    Larger groups are subjects or tasks. Then only equal prompts belong together.
    """
    sizes = Counter(outcomes.groups)
    if max(sizes.values()) <= max(1, _LARGEST_UNIT * len(outcomes)):
        return outcomes.groups
    return outcomes.prompts


def _numbered(names: Sequence[str]) -> NDArray[np.intp]:
    return np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.intp)


def _figures(
    traffic: RecordedTraffic, played: Sequence[tuple[NDArray[np.intp], Played]]
) -> LearningFigures:
    count = len(traffic)
    half = slice(count // 2, count)
    gains = [(traffic.strong - traffic.weak)[order[half]] for order, _ in played]
    weak = float(np.mean([traffic.weak[order[half]].mean() for order, _ in played]))
    gap = float(np.mean([gain.mean() for gain in gains]))
    known = is_surely_positive(*gains)
    policies = {}
    for name in POLICIES:
        chosen = [(order[half], getattr(one, name)[half]) for order, one in played]
        quality = [np.where(ch, traffic.strong[at], traffic.weak[at]) for at, ch in chosen]
        mean = float(np.mean([values.mean() for values in quality]))
        policies[name] = PolicyFigures(
            pgr=(mean - weak) / gap if known else None,
            share=float(np.mean([ch.mean() for _, ch in chosen])),
            quality=mean,
            error=float(np.mean([standard_error(values) for values in quality])),
        )
    after = [one.learned[SHARE_AFTER:].mean() for _, one in played if count > SHARE_AFTER]
    pairs = [int(one.pairs.sum()) for _, one in played]
    lines = [
        [line.serving for line in one.rounds if line.requests >= count // 2] for _, one in played
    ]
    return LearningFigures(
        requests=count,
        orders=len(played),
        rounds=len(played[0][1].rounds),
        pairs=pairs[0] if len(pairs) == 1 else float(np.mean(pairs)),
        share_after_200=float(np.mean(after)) if after else None,
        policies=policies,
        served=float(np.mean([np.mean(one) if one else 0.0 for one in lines])),
        claims=Counter(one.rounds[-1].claim if one.rounds else Claim.NONE for _, one in played),
    )
