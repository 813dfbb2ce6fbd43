"""What a local router expects of open prompts that are unlike the recorded ones.

The open head learned from exam questions. On chats and requests its gain mostly follows the length
of the prompt. So two estimates are freed from length, their mean is taken, and the result is moved
to where half of the recorded prompts go to the strong model, with a small spread: such a prompt is
routed near the threshold, one way or the other.
"""

from dataclasses import dataclass

from experiments.routers.embedding import Vector

FARTHEST = 1.0  # of a length from the mean, in logarithms
_FARTHEST_GAIN = 2.5  # spreads


@dataclass(frozen=True, eq=False)
class OpenPrior:
    """`direction` gives the assumed difficulty of an embedding, `share` is its weight next to the
    exam head's gain. Lengths are logarithms of characters, from their mean over open prompts."""

    direction: Vector
    of_exam: Vector
    of_assumed: Vector
    length: float
    share: float
    scale: float
    level: float
    spread: float

    def gain(self, exam: float, log_length: float, embedding: Vector, known: float) -> float:
        """The gain of an open prompt, where the exam head says `exam`. `known`, from 0 to 1, is how
        much of its wording training saw: without any, the gain is `level`."""
        length = min(FARTHEST, max(-FARTHEST, log_length - self.length))
        own = _freed(self.of_exam, exam, length)
        assumed = _freed(self.of_assumed, float(embedding @ self.direction), length)
        both = ((1 - self.share) * own + self.share * assumed) / self.scale
        return self.level + known * self.spread * min(_FARTHEST_GAIN, max(-_FARTHEST_GAIN, both))


def _freed(by: Vector, value: float, length: float) -> float:
    """At mean 0 and spread 1 over open prompts, without what the length says."""
    return float((value - by[0] - by[1] * length) / by[2])
