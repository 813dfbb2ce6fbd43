"""What is kept of a labeled decision so that a round can learn from it. No text is kept.

The input is packed into bytes and encrypted like a waiting prompt. What may be kept depends on the
label: agreeing to learning covers the input of a pair, whose prompt is sent to a second model and a
judge anyway. The input of a rating is kept only if the domain stores features or text.
"""

import base64
from collections.abc import Iterable
from datetime import datetime, timedelta

from experiments.models import Decision, LearningInput
from experiments.routers.features import featurise
from experiments.routers.learned import (
    FEATURES_KEY,
    PromptInput,
    pack,
    shipped_router,
    unpack,
)
from experiments.storage.encryption import seal, unseal

_LONGEST = timedelta(days=36_500)  # pruning the decision deletes its input


def input_row(decision: Decision, text: str) -> LearningInput:
    """The row for a prompt whose text is at hand. Nothing is saved."""
    return _row(decision, shipped_router().look(featurise(text)))


def kept_row(decision: Decision) -> LearningInput | None:
    """The row from what the domain stored of the decision; None if it stored too little."""
    if decision.text:
        return input_row(decision, decision.text)
    stored = decision.detail.get("features", {}).get(FEATURES_KEY)
    if stored is None or stored["shipped"] != shipped_router().router.sha256:
        return None
    return _row(decision, unpack(base64.b64decode(stored["input"])))


def read(row: LearningInput) -> PromptInput:
    """Raises SealBrokenError."""
    return unpack(unseal(row.sealed, _LONGEST))


def keep(rows: Iterable[LearningInput]) -> None:
    """Stores rows; a decision has one."""
    LearningInput.objects.bulk_create(rows, ignore_conflicts=True)


def _row(decision: Decision, seen: PromptInput) -> LearningInput:
    return LearningInput(
        decision_id=decision.pk,
        domain=decision.domain,
        strong_model=decision.strong_model,
        weak_model=decision.weak_model,
        decided_at=decision.created_at,
        sealed=_sealed(seen, decision.created_at),
        prior=seen.prior,
        shipped=shipped_router().router.sha256,
    )


def _sealed(seen: PromptInput, at: datetime) -> str:
    return seal(pack(seen), at)
