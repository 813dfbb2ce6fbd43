"""Replaying a verified cascade on recorded answers of both models; nothing is stored.

Every row is judged by a verifier that was trained on other folds, with a threshold from those
folds. The verifier sees the prompt, the weak answer and, if recorded, a second cheap answer; of
the strong model it learns from the scores in the training folds and never sees an answer.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.routing.curves import Curves, Prompts, curves_of, is_surely_positive
from experiments.configuration.prices import catalogue_price
from experiments.core.costs import estimate_tokens
from experiments.core.money import NANO, PER_MILLION
from experiments.core.seeded_models import SEEDED_STRONG, SEEDED_WEAK
from experiments.lab.answer_pairs import AnswerPair
from experiments.lab.columns import Flags, Floats
from experiments.lab.prompt_routers import SHIPPED, TRAINED, prompt_router_scores
from experiments.routers.features import Features, featurise
from experiments.routers.loading import load_router
from experiments.routers.outcomes import OutcomesError, PromptOutcome, from_rows
from experiments.routers.training.folds import N_FOLDS, Folds
from experiments.verifiers.features import GROUPS, AnswerSample, features
from experiments.verifiers.final_answers import final_answer
from experiments.verifiers.model import Verifier, fit

CAUTION = 0.9
"""The threshold is set for this much of the share, so that chance does not exceed it."""
LEAST = 10
ROUTER = "local"
_SHORT = 300

Advance = Callable[[int, int], object]


class CannotPriceError(ValueError):
    """Neither the file nor the catalogue has a price."""


class CascadeCosts(NamedTuple):
    """Nano-dollars of each row. `second` is 0 where there is no second answer."""

    weak: Floats
    second: Floats
    strong: Floats
    recorded: bool


class RouterPoint(NamedTuple):
    """The best of the prompt routers at one strong share, chosen on the same rows it is shown for,
    which favors the router."""

    name: str
    share: float
    pgr: float


class CascadeReplay(NamedTuple):
    """`pgr`, its standard error and the routers are None where the quality gap is not surely above
    0; `reason` says so. `cost_share` is the cascade's cost as a share of always strong."""

    n: int
    escalated: float
    quality: float
    weak: float
    strong: float
    pgr: float | None
    se: float | None
    cost_share: float
    costs_recorded: bool
    same_share: RouterPoint | None
    same_cost: RouterPoint | None
    reason: str | None


class Judged(NamedTuple):
    """Score, threshold and verdict of every row, each by a verifier that did not see the row."""

    score: Floats
    threshold: Floats

    @property
    def escalates(self) -> Flags:
        return np.asarray(self.score < self.threshold)

    def at_most(self, share: float) -> Flags:
        """The same, but never more than this share of all rows: what is furthest below its
        threshold goes first. Holds where a group is unlike those that set its threshold."""
        escalates = self.escalates
        most = math.floor(share * len(escalates) + 1e-9)
        if np.count_nonzero(escalates) <= most:
            return escalates
        order = np.argsort(self.score - self.threshold, kind="stable")
        held = np.zeros(len(escalates), dtype=bool)
        held[order[:most]] = True
        return held


def replay_cascade(
    pairs: Sequence[AnswerPair],
    *,
    share: float = 0.5,
    seed: int = 0,
    verifiers: Sequence[str] = tuple(GROUPS),
    prior: Verifier | None = None,
    with_routers: bool = True,
    advance: Advance = lambda done, total: None,
) -> CascadeReplay:
    """`with_routers` compares prompt routers too, which takes seconds.

    Raises OutcomesError for fewer than ten rows or a share outside 0 and 1.
    """
    _check(pairs, share)
    steps = len(pairs) + N_FOLDS + len(SHIPPED) + len(TRAINED)
    done = 0

    def step(_: object = None) -> None:
        nonlocal done
        done += 1
        advance(done, steps)

    weak, strong = (np.array([getattr(one, side) for one in pairs]) for side in ("weak", "strong"))
    prompts = tuple(featurise(pair.prompt) for pair in pairs)
    seen = _features(pairs, prompts, step)
    folds = folds_of([one.prompt for one in pairs], [one.group for one in pairs], seed)
    judged = judge(
        seen, weak, strong, folds, _keys(pairs, seed), share, verifiers, prior=prior, step=step
    )
    costs = costs_of(pairs)
    gap_known = is_surely_positive(strong - weak)
    routers = {}
    if gap_known and with_routers:
        rows = (PromptOutcome(one.prompt, one.strong, one.weak, "", one.group) for one in pairs)
        routers = prompt_router_scores(
            from_rows(rows), folds, seed=seed, features=prompts, step=step
        )
    advance(steps, steps)
    return _result(judged.at_most(share), weak, strong, costs, routers, gap_known)


def folds_of(prompts: Sequence[str], groups: Sequence[str], seed: int) -> Folds:
    """A fold for each row: whole groups where there are at least two (each its own fold up to
    five), else by the prompt's hash, so that equal prompts are held out together."""
    names = sorted(set(groups), key=lambda name: _hash(seed, name))
    if len(names) < 2:
        return np.array([_hash(seed, prompt) % N_FOLDS for prompt in prompts], dtype=np.int64)
    sizes = dict.fromkeys(names, 0)
    for name in groups:
        sizes[name] += 1
    loads, fold_of = [0] * N_FOLDS, {}
    for name in sorted(names, key=lambda name: -sizes[name]):
        fold_of[name] = loads.index(min(loads))
        loads[fold_of[name]] += sizes[name]
    return np.array([fold_of[name] for name in groups], dtype=np.int64)


def judge(
    seen: Floats,
    weak: Floats,
    strong: Floats,
    folds: Folds,
    keys: NDArray[np.int64],
    share: float,
    verifiers: Sequence[str] = tuple(GROUPS),
    *,
    prior: Verifier | None = None,
    step: Callable[[], object] = lambda: None,
) -> Judged:
    """`keys` are hashes of the prompts, by which training rows are cross-fitted for the threshold:
    a verifier is too sure of rows that it was fitted on."""
    score, threshold = np.zeros(len(seen)), np.zeros(len(seen))
    for fold in range(N_FOLDS):
        held_out, train = folds == fold, folds != fold
        if held_out.any():
            verifier = fit(seen[train], weak[train], strong[train], groups=verifiers, prior=prior)
            score[held_out] = verifier.score(seen[held_out])
            crossed = _cross_fitted(
                seen[train], weak[train], strong[train], keys[train], verifiers, prior
            )
            threshold[held_out] = threshold_for(crossed, CAUTION * share)
        step()
    return Judged(score, threshold)


def threshold_for(scores: Floats, share: float) -> float:
    """Scores below it are at most this share of all."""
    if share >= 1.0:
        return math.inf
    if not len(scores):
        return 0.0
    ordered = np.sort(scores)
    return float(ordered[math.floor(share * len(ordered) + 1e-9)])


def costs_of(pairs: Sequence[AnswerPair]) -> CascadeCosts:
    """Recorded costs where the file has those of both models for every row; else estimated from
    characters (four a token) and the catalogue's prices of the seeded pair. A second answer
    without a cost of its own costs as much as the weak one. Raises CannotPriceError."""
    recorded = all(one.weak_cost is not None and one.strong_cost is not None for one in pairs)
    if recorded:
        weak = np.array([one.weak_cost for one in pairs], dtype=np.float64)
        strong = np.array([one.strong_cost for one in pairs], dtype=np.float64)
    else:
        weak = _estimated(SEEDED_WEAK, pairs, [one.weak_answer for one in pairs])
        strong = _estimated(SEEDED_STRONG, pairs, [one.strong_answer for one in pairs])
    estimated = _estimated(SEEDED_WEAK, pairs, [one.second_answer or "" for one in pairs])
    second = [
        _second_cost(one, recorded, float(cost), float(first))
        for one, cost, first in zip(pairs, estimated, weak, strict=True)
    ]
    return CascadeCosts(weak, np.array(second), strong, recorded)


def _second_cost(pair: AnswerPair, recorded: bool, estimated: float, weak: float) -> float:
    if pair.second_answer is None:
        return 0.0
    if not recorded:
        return estimated
    return weak if pair.second_cost is None else float(pair.second_cost)


def _estimated(model: str, pairs: Sequence[AnswerPair], answers: Sequence[str]) -> Floats:
    price = catalogue_price(model)
    if price is None:
        raise CannotPriceError(
            f"The catalogue has no price of {model}. Add weak_cost and strong_cost to the file."
        )
    per_token = NANO / PER_MILLION
    read, wrote = (float(one) * per_token for one in price[:2])
    return np.array(
        [
            estimate_tokens(pair.prompt) * read + estimate_tokens(answer) * wrote
            for pair, answer in zip(pairs, answers, strict=True)
        ]
    )


def _check(pairs: Sequence[AnswerPair], share: float) -> None:
    if not 0.0 < share <= 1.0:
        raise OutcomesError(f"The share must be above 0 and at most 1; got {share}.")
    if len(pairs) < LEAST:
        raise OutcomesError(f"{len(pairs)} rows are too few. A replay needs at least {LEAST}.")


def _features(
    pairs: Sequence[AnswerPair], prompts: Sequence[Features], step: Callable[[], object]
) -> Floats:
    router = load_router(ROUTER)
    rows = []
    for pair, prompt in zip(pairs, prompts, strict=True):
        rows.append(
            features(
                AnswerSample(
                    pair.prompt,
                    pair.weak_answer,
                    pair.second_answer,
                    pair.logprob,
                    similarity(pair.weak_answer, pair.second_answer),
                    router.score(prompt),
                )
            )
        )
        step()
    return np.stack(rows)


def similarity(answer: str, second: str | None) -> float | None:
    """The cosine of the embeddings of both final answers, if they are short texts."""
    if second is None:
        return None
    texts = [final_answer(text).text[:_SHORT] for text in (answer, second)]
    if not all(texts):
        return 0.0
    one, other = (featurise(text).embedding for text in texts)
    return float(one @ other)


def _cross_fitted(
    seen: Floats,
    weak: Floats,
    strong: Floats,
    keys: NDArray[np.int64],
    verifiers: Sequence[str],
    prior: Verifier | None,
) -> Floats:
    scores = np.zeros(len(seen))
    inner = (keys // N_FOLDS) % N_FOLDS
    for fold in range(N_FOLDS):
        held_out = inner == fold
        train = ~held_out
        if held_out.any():
            found = fit(seen[train], weak[train], strong[train], groups=verifiers, prior=prior)
            scores[held_out] = found.score(seen[held_out])
    return scores


def _keys(pairs: Sequence[AnswerPair], seed: int) -> NDArray[np.int64]:
    return np.array([_hash(seed, one.prompt) for one in pairs], dtype=np.int64)


def _hash(seed: int, text: str) -> int:
    digest = hashlib.sha256(f"{seed}\0{text}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:6], "big")


def _result(
    escalates: Flags,
    weak: Floats,
    strong: Floats,
    costs: CascadeCosts,
    routers: dict[str, Floats],
    gap_known: bool,
) -> CascadeReplay:
    quality = np.where(escalates, strong, weak)
    spent = costs.weak + costs.second + np.where(escalates, costs.strong, 0.0)
    share, always = float(escalates.mean()), float(costs.strong.sum())
    pgr = se = same_share = same_cost = None
    reason = "The quality gap between the strong and the weak model is not surely above 0."
    if gap_known:
        pgr, se = pgr_of(quality - weak, strong - weak)
        same_share = _best(routers, weak, strong, costs, lambda curve: share)
        same_cost = _best(
            routers, weak, strong, costs, lambda curve: _share_at(curve, float(spent.mean()))
        )
    return CascadeReplay(
        n=len(weak),
        escalated=share,
        quality=float(quality.mean()),
        weak=float(weak.mean()),
        strong=float(strong.mean()),
        pgr=pgr,
        se=se,
        cost_share=float(spent.sum()) / always if always else math.nan,
        costs_recorded=costs.recorded,
        same_share=same_share,
        same_cost=same_cost,
        reason=None if gap_known else reason,
    )


def pgr_of(gained: Floats, gap: Floats) -> tuple[float, float]:
    """The recovered share of the gap, a ratio of means, and its standard error (delta method)."""
    ratio = float(gained.mean() / gap.mean())
    rest = gained - ratio * gap
    return ratio, float(rest.std(ddof=1) / math.sqrt(len(rest)) / gap.mean())


def _best(
    routers: dict[str, Floats],
    weak: Floats,
    strong: Floats,
    costs: CascadeCosts,
    share_on: Callable[[Curves], float],
) -> RouterPoint | None:
    points = []
    for name, scores in routers.items():
        prompts, _ = Prompts.ordered(scores, strong, weak, costs.strong, costs.weak)
        curve = curves_of(prompts)
        share = share_on(curve)
        pgr = float(curve.at(curve.pgr(), np.array([share]))[0])
        points.append(RouterPoint(name, share, pgr))
    return max(points, key=lambda point: point.pgr, default=None)


def _share_at(curve: Curves, cost: float) -> float:
    """The strong share at which a prompt router costs this much a prompt; 1 where it never does."""
    if cost >= float(curve.cost[0, -1]):
        return 1.0
    return float(curve.first_share(curve.cost, np.array([cost]))[0])
