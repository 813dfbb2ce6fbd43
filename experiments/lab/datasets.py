"""Outcome sets: found by name, read as columns, and filled with shadow pairs.

Imported sets and shadow pairs are rows. The set `production-ratings` is a view of the decisions
that were rated (`rated_decisions`).
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from django.db.models import Q
from django.utils import timezone

from experiments.lab.arrow_reads import FLOAT, INTEGER, NAME, codes, numbers, read_columns
from experiments.lab.columns import Labels, OutcomeColumns, RouterInputs
from experiments.lab.rated_decisions import PRODUCTION, rated_columns
from experiments.models import OutcomeSet, RecordedOutcome

if TYPE_CHECKING:
    import pyarrow as pa

SHADOW_PREFIX = "shadow-"
_COLUMNS = {
    "id": INTEGER,
    "strong_score": FLOAT,
    "weak_score": FLOAT,
    "strong_cost": INTEGER,
    "weak_cost": INTEGER,
    "domain": NAME,
    "group": NAME,
}


class Answered(NamedTuple):
    """One model's answer. The score lies in [0, 1], the cost is in nano-dollars, None unknown."""

    model: str
    score: float
    cost: int | None = None
    output_tokens: int | None = None


class AnsweredPair(NamedTuple):
    """Both models' answers to one production prompt.

    `key` tells pairs apart: the decision's id. `prompt` is "" where it may not be kept, and
    `embedding` is given then. `unit` is the unit's hash.
    """

    domain: str
    key: str
    strong: Answered
    weak: Answered
    prompt: str = ""
    embedding: Sequence[float] | None = None
    unit: str = ""


class NoOutcomeSetError(LookupError):
    """No outcome set has that name."""

    def __init__(self, name: str) -> None:
        names = [*OutcomeSet.objects.values_list("name", flat=True), PRODUCTION]
        super().__init__(
            f"Unknown outcome set '{name}'. Known sets: {', '.join(names)}; "
            "`manage.py import_outcomes PATH --name NAME` adds one."
        )


def find_set(name: str) -> OutcomeSet:
    """The set of that name; an unsaved one stands for production's ratings.

    Raises NoOutcomeSetError.
    """
    if name == PRODUCTION:
        return OutcomeSet(name=PRODUCTION)
    found = OutcomeSet.objects.filter(name=name).first()
    if found is None:
        raise NoOutcomeSetError(name)
    return found


def columns(outcome_set: OutcomeSet, *, with_inputs: bool = False) -> OutcomeColumns:
    """The whole set, read once. Prompts only if requested."""
    if outcome_set.name == PRODUCTION:
        return rated_columns(with_inputs=with_inputs)
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set).order_by("id")
    read = read_columns(rows, _COLUMNS)
    return OutcomeColumns(
        name=outcome_set.name,
        ids=read["id"].to_numpy(),
        strong=numbers(read["strong_score"]),
        weak=numbers(read["weak_score"]),
        strong_cost=numbers(read["strong_cost"]),
        weak_cost=numbers(read["weak_cost"]),
        domains=_words(read["domain"]),
        groups=_words(read["group"]),
        propensity=np.ones(len(read)),
        by_unit=outcome_set.source == OutcomeSet.Source.SHADOW,
        inputs=_inputs(rows) if with_inputs else None,
    )


def computed_costs(outcome_set: OutcomeSet) -> int:
    """How many prompts have a cost computed from tokens and prices."""
    if outcome_set.name == PRODUCTION:
        return 0
    computed = Q(strong_cost_computed=True) | Q(weak_cost_computed=True)
    return RecordedOutcome.objects.filter(computed, outcome_set=outcome_set).count()


def add_pair(pair: AnsweredPair) -> bool:
    """Adds it to the set `shadow-<domain>`; False if the set already contains it."""
    now = timezone.now()
    strong, weak = pair.strong, pair.weak
    outcome_set, _ = OutcomeSet.objects.select_for_update(no_key=True).get_or_create(
        name=f"{SHADOW_PREFIX}{pair.domain}",
        defaults={
            "source": OutcomeSet.Source.SHADOW,
            "origin": f"Shadow calls in the domain {pair.domain}",
            "strong_model": strong.model,
            "weak_model": weak.model,
            "created_at": now,
            "updated_at": now,
        },
    )
    keeps_numbers = not pair.prompt and pair.embedding is not None
    _, created = RecordedOutcome.objects.get_or_create(
        outcome_set=outcome_set,
        digest=hashlib.sha256(f"{strong.model}\0{weak.model}\0{pair.key}".encode()).hexdigest(),
        defaults={
            "prompt": pair.prompt,
            "embedding": [float(x) for x in pair.embedding or ()] if keeps_numbers else None,
            "domain": pair.domain,
            "group": pair.unit,
            "strong_score": strong.score,
            "weak_score": weak.score,
            "strong_cost": strong.cost,
            "weak_cost": weak.cost,
            "strong_output_tokens": strong.output_tokens,
            "weak_output_tokens": weak.output_tokens,
            "scores": {strong.model: strong.score, weak.model: weak.score},
        },
    )
    if created:
        OutcomeSet.objects.filter(pk=outcome_set.pk).update(updated_at=now)
    return created


def _words(column: "pa.ChunkedArray") -> Labels:
    """Few different words in many rows: each is stored once."""
    numbered, words = codes(column)
    return np.array(words, dtype=object)[numbered] if words else np.array([], dtype=object)


def _inputs(rows: Any) -> RouterInputs:
    prompts: list[str] = []
    embeddings = {}
    for row, (prompt, embedding) in enumerate(
        rows.values_list("prompt", "embedding").iterator(chunk_size=2000)
    ):
        prompts.append(prompt)
        if embedding is not None:
            embeddings[row] = np.array(embedding, dtype=np.float32)
    return RouterInputs(tuple(prompts), embeddings)
