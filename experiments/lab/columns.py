"""Outcomes as one array per column, for evaluation, calibration and training."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.object_]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RouterInputs:
    """The inputs of routers: prompts ("" if not stored), and stored embeddings for the others."""

    prompts: tuple[str, ...]
    embeddings: dict[int, NDArray[np.float32]]

    def where(self, keep: Flags) -> "RouterInputs":
        kept = np.flatnonzero(keep).tolist()
        embeddings = {
            place: self.embeddings[row] for place, row in enumerate(kept) if row in self.embeddings
        }
        return RouterInputs(tuple(self.prompts[row] for row in kept), embeddings)


@dataclass(frozen=True, eq=False)
class OutcomeColumns:
    """Element ``i`` of every array is row ``i`` of the set; rows are in the order of their ids.

    ``strong`` and ``weak`` are qualities in [0, 1]; NaN where that model's answer is not known,
    which only happens in the set of rated decisions. ``propensity`` is the probability with which
    the model that is known was chosen: 1 where both are known. Costs are nano-dollars, NaN where
    not known. ``groups`` are what is held out, or averaged over, together: a subject, or for
    traffic (``by_unit``) the unit. ``inputs`` is None unless it was asked for.
    """

    name: str
    ids: NDArray[np.object_]
    strong: Floats
    weak: Floats
    strong_cost: Floats
    weak_cost: Floats
    domains: Labels
    groups: Labels
    propensity: Floats
    by_unit: bool = False
    inputs: RouterInputs | None = None

    def __len__(self) -> int:
        return len(self.strong)

    @property
    def complete(self) -> bool:
        """Whether both models' answers are known for every row."""
        return not (np.isnan(self.strong).any() or np.isnan(self.weak).any())

    @property
    def priced(self) -> bool:
        """Whether both models' costs are known for every row, as savings require."""
        return len(self) > 0 and not bool(np.isnan(self.strong_cost + self.weak_cost).any())

    def domain_names(self) -> list[str]:
        """The named domains in it, in order."""
        return sorted(set(self.domains.tolist()) - {""})

    def where(self, keep: Flags) -> "OutcomeColumns":
        return replace(
            self,
            ids=self.ids[keep],
            strong=self.strong[keep],
            weak=self.weak[keep],
            strong_cost=self.strong_cost[keep],
            weak_cost=self.weak_cost[keep],
            domains=self.domains[keep],
            groups=self.groups[keep],
            propensity=self.propensity[keep],
            inputs=self.inputs.where(keep) if self.inputs else None,
        )

    def with_outcomes(self, strong: Floats, weak: Floats) -> "OutcomeColumns":
        return replace(self, strong=strong, weak=weak)

    def of_domain(self, domain: str) -> "OutcomeColumns":
        """The rows of this domain; all of them for ""."""
        return self.where(self.domains == domain) if domain else self
