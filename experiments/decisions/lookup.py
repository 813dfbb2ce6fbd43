"""Finds stored decisions, and distinguishes pruned ones from ones that never existed."""

from datetime import UTC, datetime
from uuid import UUID

from experiments.models import Decision, PruneMark


class DecisionNotFoundError(Exception):
    def __init__(self, decision_id: UUID | str) -> None:
        super().__init__(f"There is no decision {decision_id}.")


class DecisionPrunedError(Exception):
    def __init__(self, decision_id: UUID | str) -> None:
        super().__init__(
            f"Decision {decision_id} is older than the retention time and was pruned. "
            "Reports still count it."
        )


def get_decision(decision_id: UUID) -> Decision:
    """Raises DecisionNotFoundError, DecisionPrunedError."""
    row = Decision.objects.filter(pk=decision_id).first()
    if row is None:
        raise absence(decision_id)
    return row


def absence(decision_id: UUID) -> DecisionNotFoundError | DecisionPrunedError:
    """Why there is no such row. The id contains the time of the decision. One query."""
    made_at = time_of(decision_id)
    if made_at and PruneMark.objects.filter(pruned_before__gt=made_at).exists():
        return DecisionPrunedError(decision_id)
    return DecisionNotFoundError(decision_id)


def time_of(decision_id: UUID) -> datetime | None:
    """The time in a version 7 UUID; None for other versions and for times after the year 9999."""
    if decision_id.version != 7:
        return None
    try:
        return datetime.fromtimestamp((decision_id.int >> 80) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
