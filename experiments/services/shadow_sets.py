"""Judged pairs as recorded outcomes: what the lab evaluates and trains routers on."""

import hashlib

from django.utils import timezone

from experiments.models import Decision, OutcomeSet, OwnCall, RecordedOutcome, ShadowPair

PREFIX = "shadow-"


def feed(pair: ShadowPair, preference: float) -> bool:
    """Adds a judged pair to its domain's set. Scores are shares of the judge's preference.

    False where the domain keeps nothing of a prompt: a router could score nothing then.
    """
    decision = pair.decision
    embedding = decision.detail.get("features", {}).get("embedding")
    if not decision.text and embedding is None:
        return False
    given_is_strong = pair.model == decision.strong_model
    strong = preference if given_is_strong else 1.0 - preference
    outcome = getattr(decision, "outcome", None)
    given = (outcome.cost, outcome.output_tokens) if outcome else (None, None)
    other = _other(pair)
    costs = (given, other) if given_is_strong else (other, given)
    return _add_pair(decision, embedding, strong, costs)


Spent = tuple[int | None, int | None]


def _other(pair: ShadowPair) -> Spent:
    """Cost and output tokens of the other model's answer."""
    answers = OwnCall.objects.filter(pair=pair, purpose=OwnCall.Purpose.SHADOW, status="ok")
    last = answers.order_by("id").last()
    return (last.cost, last.output_tokens) if last else (None, None)


def _add_pair(
    decision: Decision, embedding: list[float] | None, strong: float, costs: tuple[Spent, Spent]
) -> bool:
    now = timezone.now()
    strong_model, weak_model = decision.strong_model, decision.weak_model
    outcome_set, _ = OutcomeSet.objects.get_or_create(
        name=f"{PREFIX}{decision.domain}",
        defaults={
            "source": OutcomeSet.Source.SHADOW,
            "origin": f"Shadow calls in the domain {decision.domain}",
            "strong_model": strong_model,
            "weak_model": weak_model,
            "created_at": now,
            "updated_at": now,
        },
    )
    key = f"{strong_model}\0{weak_model}\0{decision.pk}"
    _, created = RecordedOutcome.objects.get_or_create(
        outcome_set=outcome_set,
        digest=hashlib.sha256(key.encode()).hexdigest(),
        defaults={
            "prompt": decision.text or "",
            "embedding": None if decision.text else embedding,
            "domain": decision.domain,
            "group": decision.unit_hash,
            "strong_score": strong,
            "weak_score": 1.0 - strong,
            "strong_cost": costs[0][0],
            "weak_cost": costs[1][0],
            "strong_output_tokens": costs[0][1],
            "weak_output_tokens": costs[1][1],
            "scores": {strong_model: strong, weak_model: 1.0 - strong},
        },
    )
    if created:
        OutcomeSet.objects.filter(pk=outcome_set.pk).update(updated_at=now)
    return created
