"""Loads routers and outcomes by name, ready for evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.lab.columns import Floats, OutcomeColumns, RouterInputs
from experiments.lab.datasets import columns, computed_costs, find_set
from experiments.lab.evaluations import MultiModelScores, RouterScores
from experiments.lab.multi_model import answers, cascade_of, with_steps
from experiments.lab.rated_decisions import PRODUCTION
from experiments.lab.scores import Advance, scores
from experiments.models import OutcomeSet
from experiments.routers.features import featurise
from experiments.routers.loading import ORDER_ONLY, load_router
from experiments.routers.outcomes import Outcomes, OutcomesError, read_outcomes
from experiments.routers.table_files import read_money, whole_rows
from experiments.routing.router_lookup import LabRouter, find_scorer

_COSTS = ("strong_cost", "weak_cost")


class FileCosts(NamedTuple):
    """Nano-dollars of each row, NaN where not known."""

    strong: Floats
    weak: Floats


class EvaluationInputs(NamedTuple):
    """`computed`: of so many prompts of the whole set a cost follows from tokens and prices."""

    columns: OutcomeColumns
    entrants: tuple[RouterScores, ...]
    multi_model: tuple[MultiModelScores, ...] = ()
    computed: int = 0

    def where(self, kept: Sequence[bool]) -> "EvaluationInputs":
        rows = np.array(kept, dtype=bool)
        entrants = (one._replace(values=one.values[rows]) for one in self.entrants)
        multi_model = tuple(one.where(rows) for one in self.multi_model)
        return EvaluationInputs(
            self.columns.where(rows), tuple(entrants), multi_model, self.computed
        )


def of_set(
    name: str, routers: Sequence[str], seed: int, advance: Advance = lambda done, total: None
) -> EvaluationInputs:
    """A set of the lab and configured routers. Raises NoOutcomeSetError, NoRouterError."""
    outcome_set = find_set(name)
    whole = columns(outcome_set, with_inputs=outcome_set.name == PRODUCTION)
    scored = {
        name: (scorer, scores(outcome_set, scorer, advance, whole))
        for name in with_steps(routers)
        for scorer in (find_scorer(name, seed),)
    }
    entrants = [entrant(scored[name][0], *scored[name][1]) for name in routers]
    values = {name: found.values for name, (_, found) in scored.items()}
    multi_model = contestants(outcome_set, routers, values)
    return EvaluationInputs(whole, tuple(entrants), multi_model, computed_costs(outcome_set))


def contestants(
    outcome_set: OutcomeSet, routers: Sequence[str], values: Mapping[str, Floats]
) -> tuple[MultiModelScores, ...]:
    """The cascades among `routers`. `values` has the scores of all that `with_steps` names."""
    found = []
    for cascade in filter(None, map(cascade_of, routers)):
        if outcome_set.name == PRODUCTION:
            continue  # rated decisions have only one model's answer
        first, *others = cascade.routers
        chosen = cascade.chosen({first: values[cascade.name], **{n: values[n] for n in others}})
        found.append(
            MultiModelScores(
                cascade.name, cascade.models, chosen, *answers(outcome_set, cascade.models)
            )
        )
    return tuple(found)


def entrant(scorer: LabRouter, values: Floats, microseconds: float) -> RouterScores:
    return RouterScores(scorer.name, values, microseconds, scorer.threshold, scorer.ties)


def of_file(
    path: Path, routers: Sequence[str], seed: int, strong: str, weak: str
) -> EvaluationInputs:
    """A file and shipped routers or checkpoints: needs no database.

    Raises OutcomesError, CheckpointError.
    """
    outcomes = read_outcomes(path, strong_model=strong, weak_model=weak)
    return of_outcomes(outcomes, routers, seed, file_costs(path))


def of_outcomes(
    outcomes: Outcomes, routers: Sequence[str], seed: int, costs: FileCosts | None = None
) -> EvaluationInputs:
    loaded = {name: load_router(name, seed) for name in routers}
    entrants = []
    for name, router in loaded.items():
        values = np.array([router.score(featurise(prompt)) for prompt in outcomes.prompts])
        ties = None if name in ORDER_ONLY else router.counts_ties
        entrants.append(RouterScores(name, values, ties=ties))
    return EvaluationInputs(as_columns(outcomes, costs=costs), tuple(entrants))


def file_costs(path: Path) -> FileCosts | None:
    """The columns `strong_cost` and `weak_cost` of a file; None where it has neither.

    Raises OutcomesError.
    """
    if path.is_dir():
        return None
    found: list[tuple[float, float]] = []
    for where, row in whole_rows(path, ()):
        if not row.keys() & set(_COSTS):
            return None
        try:
            strong, weak = (read_money(row.get(name), name) for name in _COSTS)
        except ValueError as error:
            raise OutcomesError(f"{where}: {error}.") from error
        found.append((_number(strong), _number(weak)))
    dollars = np.array(found, dtype=np.float64).reshape(len(found), 2)
    return FileCosts(dollars[:, 0], dollars[:, 1])


def _number(cost: int | None) -> float:
    return np.nan if cost is None else float(cost)


def as_columns(
    outcomes: Outcomes, name: str = "", costs: FileCosts | None = None
) -> OutcomeColumns:
    unknown = np.full(len(outcomes), np.nan)
    return OutcomeColumns(
        name=name,
        ids=np.arange(len(outcomes)).astype(object),
        strong=outcomes.strong,
        weak=outcomes.weak,
        strong_cost=costs.strong if costs else unknown,
        weak_cost=costs.weak if costs else unknown,
        domains=np.array(outcomes.domains, dtype=object),
        groups=np.array(outcomes.groups, dtype=object),
        propensity=np.ones(len(outcomes)),
        inputs=RouterInputs(outcomes.prompts, {}),
    )
