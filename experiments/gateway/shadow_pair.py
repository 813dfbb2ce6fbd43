"""One shadow pair in progress: what it needs, what its calls used, and how it ends or waits."""

from enum import Enum

from experiments.core.judging import JudgeVerdict, preference
from experiments.core.money import total
from experiments.gateway.internal_calls import Reply
from experiments.limits.quotas import Reservation
from experiments.models import LearningInput, OwnCall, ShadowPair
from experiments.shadow.evaluation import Ending, Waiting
from experiments.shadow.queue import Material

CIRCUIT_OPEN_TEXT = "{model} is temporarily unavailable (circuit breaker open)."
Status, Winner = ShadowPair.PairStatus, OwnCall.Winner


class AnswerOrder(Enum):
    """Which answer the judge reads first."""

    GIVEN_FIRST = 1
    OTHER_FIRST = 2


class Case:
    """One pair in progress."""

    def __init__(self, pair: ShadowPair) -> None:
        self.pair = pair
        self.material = Material({}, "")
        self.charge: Reservation | None = None
        self.other: str | None = None
        self.verdicts: dict[AnswerOrder, JudgeVerdict] = {}
        self.problem = ""
        self.replies: list[Reply] = []
        self.status: ShadowPair.PairStatus | None = None
        self.detail = ""
        self.judge = ""
        self.revision: int | None = None
        self.waits_for = ""
        self.learning_input: LearningInput | None = None

    def stop(self, status: ShadowPair.PairStatus, detail: str = "") -> None:
        self.status, self.detail = status, detail

    @property
    def is_open(self) -> bool:
        return self.status is None and not self.waits_for

    @property
    def tokens(self) -> int:
        return sum(reply.tokens for reply in self.replies)

    @property
    def cost(self) -> int | None:
        return total([reply.cost for reply in self.replies])

    def waiting(self) -> Waiting:
        return Waiting(
            pair=self.pair,
            material=self.material._replace(other=self.other),
            why=CIRCUIT_OPEN_TEXT.format(model=self.waits_for),
            charge=self.charge,
            tokens=self.tokens,
            cost=self.cost,
        )

    def ending(self) -> Ending:
        is_judged = self.status is Status.JUDGED
        return Ending(
            pair=self.pair,
            status=self.status or Status.FAILED,
            charge=self.charge,
            tokens=self.tokens,
            cost=self.cost,
            detail=self.detail,
            answer=self.material.answer,
            other_answer=self.other,
            judge_model=self.judge,
            revision=self.revision,
            preference=self._preference() if is_judged else None,
            learning_input=self.learning_input if is_judged else None,
        )

    def _preference(self) -> float:
        return preference(
            self.verdicts[AnswerOrder.GIVEN_FIRST], self.verdicts[AnswerOrder.OTHER_FIRST]
        )


def verdicts_of(pair: ShadowPair, judge: str | None) -> dict[AnswerOrder, JudgeVerdict]:
    """This judge's verdicts on a pair from before it had to wait. One query."""
    calls = pair.calls.filter(purpose=OwnCall.Purpose.JUDGE, model=judge).exclude(winner="")
    return {
        AnswerOrder.GIVEN_FIRST if call.given_first else AnswerOrder.OTHER_FIRST: JudgeVerdict(
            _first(call), call.criterion, call.reason
        )
        for call in calls
    }


def _first(call: OwnCall) -> float:
    if call.winner == Winner.TIE:
        return 0.5
    return 1.0 if (call.winner == Winner.GIVEN) == call.given_first else 0.0
