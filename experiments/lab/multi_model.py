"""Policies over more than two models, and their choices on a set with all answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis.routing.curves import Codes
from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.choice import pair_of
from experiments.core.policy import Policy, PolicyDomain
from experiments.lab.columns import Floats
from experiments.models import OutcomeSet, RecordedOutcome
from experiments.routing.router_lookup import POLICY
from experiments.routing.runtime import threshold_at_work

UNKNOWN = -1
_CHUNK = 2_000


class Cascade(NamedTuple):
    """A domain's current policy: its models, the strongest first, and for each except the last a
    router and the lowest score of its prompts."""

    name: str
    models: tuple[str, ...]
    steps: tuple[tuple[str, float], ...]

    @property
    def routers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(router for router, _ in self.steps))

    def chosen(self, scores: Mapping[str, Floats]) -> Codes:
        """The number of each prompt's model; UNKNOWN where a router that is asked has no score."""
        some = next(iter(scores.values()))
        chosen, open_ = np.full(len(some), UNKNOWN), np.ones(len(some), bool)
        for place, (router, threshold) in enumerate(self.steps):
            known = np.isfinite(scores[router])
            reached = known & (np.nan_to_num(scores[router]) >= threshold)
            chosen[open_ & reached] = place
            open_ &= known & ~reached
        chosen[open_] = len(self.steps)
        return chosen.astype(np.int64)


class Answers(NamedTuple):
    """A row a prompt, a column a model of the cascade; NaN is not known. Nano-dollars."""

    quality: Floats
    cost: Floats


def cascade_of(name: str) -> Cascade | None:
    """The policy that `policy:DOMAIN` names; None if it has no steps between its pair."""
    if not name.startswith(POLICY):
        return None
    try:
        policy = store.current()
    except NoPolicyError:
        return None
    domain = policy.domains.get(name.removeprefix(POLICY))
    return _cascade(name, policy, domain) if domain and domain.policy.steps else None


def _cascade(name: str, policy: Policy, domain: PolicyDomain) -> Cascade | None:
    wanted, steps = domain.policy, domain.policy.steps
    pair, threshold = pair_of(policy, domain, wanted), threshold_at_work(domain)
    if pair is None or threshold is None or wanted.router is None:
        return None
    return Cascade(
        name,
        (pair.strong, *(step.model for step in steps), pair.weak),
        ((wanted.router, threshold), *((step.router, step.threshold) for step in steps)),
    )


def with_steps(names: Iterable[str]) -> list[str]:
    """The named routers, and those that policies with steps among them use."""
    found: list[str] = []
    for name in names:
        cascade = cascade_of(name)
        found += [name, *(cascade.routers[1:] if cascade else ())]
    return list(dict.fromkeys(found))


def answers(outcome_set: OutcomeSet, models: Sequence[str]) -> Answers:
    """One row each, in the order of their ids. One query."""
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set).order_by("id")
    names = ("scores", "costs", "strong_score", "weak_score", "strong_cost", "weak_cost")
    quality, cost = [], []
    pair = (outcome_set.strong_model, outcome_set.weak_model)
    for scores, costs, *of_pair in rows.values_list(*names).iterator(chunk_size=_CHUNK):
        quality.append(_of_models(models, scores, pair, of_pair[:2]))
        cost.append(_of_models(models, costs, pair, of_pair[2:]))
    shape = (len(quality), len(models))
    return Answers(
        np.array(quality, np.float64).reshape(shape), np.array(cost, np.float64).reshape(shape)
    )


def _of_models(
    models: Sequence[str], known: Mapping[str, Any], pair: Sequence[str], of_pair: Sequence[Any]
) -> list[float | None]:
    by_name: Callable[[str], Any] = {**dict(zip(pair, of_pair, strict=True)), **known}.get
    return [by_name(model) for model in models]
