"""Evaluates routers on outcome sets, for the page and the command."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis.off_policy.ipw import NO_OVERLAP, Weighed, weigh
from experiments.analysis.routing.curves import Codes
from experiments.analysis.routing.multi_model import SeveralFigures, assess_several
from experiments.analysis.routing.router_evaluation import Assessment, as_share, assess
from experiments.lab.columns import Flags, Floats, OutcomeColumns

LEAST_RATED = 60
FEW = 30
"""Domains with fewer prompts have no separate figures."""


class RouterScores(NamedTuple):
    """A router with its scores of all rows. `microseconds` is 0 if it was not timed."""

    name: str
    values: Floats
    microseconds: float = 0.0
    threshold: float | None = None
    ties: bool | None = False


class MultiModelScores(NamedTuple):
    """A policy over several models: the number of the model it chooses for each row (below 0:
    unknown), and every model's quality and cost, one column each, NaN if unknown."""

    name: str
    models: tuple[str, ...]
    chosen: Codes
    quality: Floats
    cost: Floats

    def where(self, rows: Flags) -> "MultiModelScores":
        return self._replace(
            chosen=self.chosen[rows], quality=self.quality[rows], cost=self.cost[rows]
        )


class MultiModelResult(NamedTuple):
    """A policy over several models. `left_out` prompts lack a model's answer or a score; `figures`
    is None where that is all of them, and `lacks` names the models without any answer."""

    name: str
    models: tuple[str, ...]
    left_out: int
    lacks: tuple[str, ...]
    figures: SeveralFigures | None


class Operating(NamedTuple):
    """A policy's threshold as a point of its router's curve. Costs are nano-dollars per prompt,
    None if unknown."""

    threshold: float
    strong_share: float
    quality: float
    pgr: float | None
    cost: float | None


class MeasuredRouter(NamedTuple):
    """`unscored` prompts are stored in a form that this router cannot score; no router is evaluated
    on them, so that all are compared on the same prompts."""

    name: str
    assessment: Assessment
    microseconds: float
    unscored: int
    operating: Operating | None


class Baselines(NamedTuple):
    """The baselines of every router. Costs are means in nano-dollars, None if unknown."""

    random: Assessment
    oracle: Assessment
    strong_cost: float | None
    weak_cost: float | None


class Slice(NamedTuple):
    """One domain, or all of the set for ""."""

    domain: str
    n: int
    routers: tuple[MeasuredRouter, ...]
    baselines: Baselines | None

    @property
    def enough(self) -> bool:
        return self.baselines is not None


class Comparison(NamedTuple):
    """`weighed` is None if both answers are known for every prompt."""

    name: str
    whole: Slice
    baselines: Baselines
    domains: tuple[Slice, ...]
    weighed: Weighed | None
    multi_model: tuple[MultiModelResult, ...] = ()


class NothingToMeasureError(ValueError):
    """The set cannot be evaluated; the message says what it lacks."""


def compare(
    columns: OutcomeColumns,
    entrants: Sequence[RouterScores],
    *,
    domain: str = "",
    seed: int = 0,
    by_domain: bool = True,
    multi_model: Sequence[MultiModelScores] = (),
) -> Comparison:
    """All entrants on the same rows, overall and in each domain; policies over several models on
    the rows where all of their models' answers are known. Raises NothingToMeasureError."""
    if not len(columns):
        raise NothingToMeasureError(f"The outcome set '{columns.name}' is still empty.")
    if domain and domain not in columns.domain_names():
        known = ", ".join(columns.domain_names()) or "none"
        raise NothingToMeasureError(
            f"No prompt of '{columns.name}' is of the domain '{domain}'. It has {known}."
        )
    weighed, outcomes, weighable = _weighed(columns)
    usable = weighable & np.all([np.isfinite(entrant.values) for entrant in entrants], axis=0)
    chosen = usable & (columns.domains == domain) if domain else usable
    if not chosen.any():
        raise NothingToMeasureError(
            f"The prompts of '{columns.name}' are not stored in a form that these routers can "
            "score. Routers of the kinds knn, linear and local_mf need only the embedding."
        )
    table = _Table(outcomes, entrants, usable, seed)
    names = columns.domain_names() if by_domain and not domain else []
    whole = table.slice(domain, chosen, least=1)
    return Comparison(
        name=columns.name,
        whole=whole,
        baselines=whole.baselines or table.baselines(chosen),
        domains=tuple(table.slice(name, usable & (columns.domains == name)) for name in names),
        weighed=weighed,
        multi_model=tuple(_several(one, columns, domain, seed) for one in multi_model),
    )


def _several(
    one: MultiModelScores, columns: OutcomeColumns, domain: str, seed: int
) -> MultiModelResult:
    of_domain = columns.domains == domain if domain else np.ones(len(columns), bool)
    rows = of_domain & np.isfinite(one.quality).all(axis=1) & (one.chosen >= 0)
    answered = np.isfinite(one.quality[of_domain]).any(axis=0)
    part, found = one.where(rows), None
    if rows.any():
        units = _units(columns.where(rows))
        found = assess_several(part.chosen, part.quality, part.cost, seed=seed, units=units)
    return MultiModelResult(
        one.name,
        one.models,
        int(np.count_nonzero(of_domain & ~rows)),
        tuple(name for name, known in zip(one.models, answered, strict=True) if not known),
        found,
    )


def _weighed(columns: OutcomeColumns) -> tuple[Weighed | None, OutcomeColumns, Flags]:
    """The weighted outcomes, and the rows that they represent."""
    if columns.complete:
        return None, columns, np.ones(len(columns), dtype=bool)
    known = columns.propensity <= NO_OVERLAP
    if np.count_nonzero(known) < LEAST_RATED:
        raise NothingToMeasureError(
            f"Of {len(columns):,} rated prompts {np.count_nonzero(known):,} could have gone to the "
            f"other model too; {LEAST_RATED} are needed. Explore: give the domain's policy an "
            "exploration rate of 0.02."
        )
    part = columns.where(known)
    try:
        found = weigh(part.strong, part.weak, part.propensity)
    except ValueError as error:
        raise NothingToMeasureError(str(error)) from error
    strong, weak = np.zeros(len(columns)), np.zeros(len(columns))
    strong[known], weak[known] = found.strong, found.weak
    found = found._replace(without_overlap=float(np.mean(~known)))
    return found, columns.with_outcomes(strong, weak), known


class _Table(NamedTuple):
    outcomes: OutcomeColumns
    entrants: Sequence[RouterScores]
    usable: Flags
    seed: int

    def slice(self, domain: str, rows: Flags, least: int = FEW) -> Slice:
        of_domain = self.outcomes.domains == domain if domain else np.ones(len(rows), bool)
        left_out = int(np.count_nonzero(of_domain & ~rows))
        n = int(np.count_nonzero(rows))
        if n < least:
            return Slice(domain, n, (), None)
        part = self.outcomes.where(rows)
        measured = tuple(
            MeasuredRouter(
                entrant.name,
                self._assess(part, entrant.values[rows], ties=entrant.ties),
                entrant.microseconds,
                left_out,
                _operating(part, entrant.values[rows], entrant.threshold),
            )
            for entrant in self.entrants
        )
        return Slice(domain, n, measured, self.baselines(rows))

    def baselines(self, rows: Flags) -> Baselines:
        part = self.outcomes.where(rows)
        return Baselines(
            random=self._assess(part, np.zeros(len(part)), ties=None),
            oracle=self._assess(part, part.strong - part.weak, ties=None),
            strong_cost=float(part.strong_cost.mean()) if part.priced else None,
            weak_cost=float(part.weak_cost.mean()) if part.priced else None,
        )

    def _assess(self, part: OutcomeColumns, scores: Floats, *, ties: bool | None) -> Assessment:
        one_sided = bool((part.propensity < 1).any())
        return assess(
            scores,
            part.strong,
            part.weak,
            seed=self.seed,
            strong_cost=part.strong_cost if part.priced else None,
            weak_cost=part.weak_cost if part.priced else None,
            units=_units(part),
            ties=None if one_sided else ties,
        )


def _units(part: OutcomeColumns) -> Codes | None:
    """Units whose prompts are resampled together. Prompts of a subject are resampled separately."""
    if not part.by_unit:
        return None
    codes = np.unique(part.groups.astype(str), return_inverse=True)[1]
    return codes.astype(np.int64)


def _operating(part: OutcomeColumns, values: Floats, threshold: float | None) -> Operating | None:
    if threshold is None:
        return None
    up = values >= threshold
    quality = float(np.where(up, part.strong, part.weak).mean())
    strong, weak = float(part.strong.mean()), float(part.weak.mean())
    return Operating(
        threshold=threshold,
        strong_share=float(up.mean()),
        quality=as_share(quality),
        pgr=(quality - weak) / (strong - weak) if strong > weak else None,
        cost=float(np.where(up, part.strong_cost, part.weak_cost).mean()) if part.priced else None,
    )
