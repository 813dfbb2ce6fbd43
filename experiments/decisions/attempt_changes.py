"""The changes made to a call for a model, as text."""

from experiments.core.parameters import DROPPED_FOR_ENDPOINT, LEARNED
from experiments.models import Attempt

_BECAUSE = {
    DROPPED_FOR_ENDPOINT: "dropped for the endpoint",
    LEARNED: "the provider refused it",
}


def changes_of(attempt: Attempt) -> list[str]:
    """One text for each change: `seed: left out (rule claude-seed)`."""
    return [
        f"{change['parameter']}: {change['detail']} "
        f"({_BECAUSE.get(change['rule']) or 'rule ' + change['rule']})"
        for change in attempt.changes
    ]
