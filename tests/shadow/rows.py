"""A pair of models and a judge at a provider, and decisions that one of them answered."""

from decimal import Decimal
from typing import Any

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.models import (
    Decision,
    Domain,
    LanguageModel,
    ModelPrice,
    ProviderEndpoint,
    RoutingSettings,
)
from experiments.routing.route import RouteRequest, route
from experiments.shadow.queue import ShadowCandidate, queue

PROMPT = "Prove that the square root of two is irrational."
STRONG, WEAK, JUDGE = "stub/strong", "stub/weak", "stub/judge"


def set_up(url: str, *, share: float = 1.0, judge: bool = True, **domain: Any) -> None:
    """`domain` holds the changes for every domain."""
    with revision("tests"):
        endpoint = ProviderEndpoint.objects.create(name="stub", base_url=url, retries=0)
        models = {name: _model(name, endpoint) for name in (STRONG, WEAK, JUDGE)}
        RoutingSettings.objects.update(
            strong_model=models[STRONG],
            weak_model=models[WEAK],
            judge_model=models[JUDGE] if judge else None,
        )
        Domain.objects.update(
            shadow_share=share, method="always_weak", preferred_models=[WEAK], **domain
        )
        from experiments.models import Flag

        Flag.objects.filter(kind=Flag.Kind.DOMAIN).update(percentage=100)


def change(**settings: Any) -> None:
    with revision("tests"):
        RoutingSettings.objects.update(**settings)


def _model(name: str, endpoint: ProviderEndpoint) -> LanguageModel:
    row = LanguageModel.objects.create(name=name, provider="stub", endpoint=endpoint)
    ModelPrice.objects.create(
        model=row, input_per_million=Decimal(2), output_per_million=Decimal(8)
    )
    return row


def answered(text: str = PROMPT, answer: str = "Badly answered.", **asked: Any) -> Decision:
    """A decision that the weak model answered, queued for the strong one."""
    row = route(RouteRequest(text, **{"unit_id": "ada", "domain": "technical", **asked}))
    queue([candidate(row, answer, text)])
    return row


def candidate(
    row: Decision, answer: str = "Badly answered.", text: str = PROMPT
) -> ShadowCandidate:
    store.invalidate()
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0}
    return ShadowCandidate(row, WEAK, STRONG, body, answer)
