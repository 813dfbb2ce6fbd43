"""Judged pairs as recorded outcomes: data for evaluating and training routers in the lab."""

from experiments.lab import datasets
from experiments.lab.datasets import Answered, add_pair
from experiments.models import OwnCall, ShadowPair


def feed(pair: ShadowPair, preference: float) -> bool:
    """Adds a judged pair to its domain's dataset. Scores are shares of the judge's preference.
    False if the domain stores no part of a prompt, because a router could not score it."""
    decision = pair.decision
    embedding = decision.detail.get("features", {}).get("embedding")
    if not decision.text and embedding is None:
        return False
    answers = (_given(pair, preference), _other(pair, 1.0 - preference))
    given_is_strong = pair.model == decision.strong_model
    strong, weak = answers if given_is_strong else reversed(answers)
    return add_pair(
        datasets.AnsweredPair(
            domain=decision.domain,
            key=str(decision.pk),
            strong=strong,
            weak=weak,
            prompt=decision.text or "",
            embedding=embedding,
            unit=decision.unit_hash,
        )
    )


def _given(pair: ShadowPair, score: float) -> Answered:
    outcome = getattr(pair.decision, "outcome", None)
    if outcome is None:
        return Answered(pair.model, score)
    return Answered(pair.model, score, outcome.cost, outcome.output_tokens)


def _other(pair: ShadowPair, score: float) -> Answered:
    calls = OwnCall.objects.filter(pair=pair, purpose=OwnCall.Purpose.SHADOW, status="ok")
    last = calls.order_by("id").last()
    if last is None:
        return Answered(pair.other_model, score)
    return Answered(pair.other_model, score, last.cost, last.output_tokens)
