"""Whether a stored decision comes out the same again, from what was stored with it."""

from typing import NamedTuple

from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import PromptDecision as Decided
from experiments.decisions.decision_rows import replay
from experiments.models import Decision, PolicyRevision, ThresholdTable


class ReplayCheck(NamedTuple):
    """`differences` names each part that came out otherwise: part, stored, now."""

    same: bool
    sentence: str
    differences: tuple[tuple[str, str, str], ...] = ()


def check_replay(row: Decision) -> ReplayCheck:
    """Decides again under the decision's own revision. Stores nothing, asks no router."""
    try:
        decided = replay(row)
    except PolicyRevision.DoesNotExist:
        return ReplayCheck(False, f"Revision {row.revision} is gone, so nothing can be replayed.")
    except ThresholdTable.DoesNotExist:
        return ReplayCheck(False, "Its threshold table is gone, so nothing can be replayed.")
    except NoEligibleModelsError as error:
        return ReplayCheck(False, f"Replayed, no model could answer: {error}")
    differences = tuple(
        (part, str(stored), str(now)) for part, stored, now in _parts(row, decided) if stored != now
    )
    if differences:
        return ReplayCheck(False, "Replayed, it came out otherwise.", differences)
    return ReplayCheck(
        True, f"Replayed under revision {row.revision}, it is the same decision in every part."
    )


def _parts(row: Decision, decided: Decided) -> list[tuple[str, object, object]]:
    score, assignment = decided.choice.score, decided.assignment
    return [
        ("domain", row.domain, decided.domain.name),
        ("method", row.method, str(decided.method)),
        ("reason", row.reason, decided.choice.reason),
        ("model", row.model, decided.model),
        ("intended model", row.intended_model, decided.intended),
        ("tier", row.tier, decided.tier),
        ("explored", row.explored, decided.explored),
        ("arm", row.arm, assignment.arm.name if assignment else ""),
        ("score", row.score, score.value if score else None),
        ("threshold", row.threshold, decided.choice.threshold),
        ("propensity", row.propensity, decided.propensity.intended),
        ("cost", row.cost, decided.costs.chosen),
        ("baseline's cost", row.cost_baseline, decided.costs.baseline),
    ]
