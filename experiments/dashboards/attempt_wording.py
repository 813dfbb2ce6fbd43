"""The sentence about the model calls of one decision."""

from collections.abc import Sequence

from experiments.formatting import plural
from experiments.models import Attempt

OK, HUNG_UP = "ok", "hung_up"


def called(attempts: Sequence[Attempt]) -> str:
    """Empty if the gateway made no call."""
    if not attempts:
        return ""
    *before, last = attempts
    failed = plural(len(before), "failed call")
    if last.status == HUNG_UP:
        return f"The client disconnected during the call of {last.model}; usage so far is counted."
    if last.status != OK:
        tries = plural(len(attempts), "call")
        return f"No model answered after {tries}; the last was {last.model}."
    if not before:
        return f"{last.model} answered the first call."
    if last.is_fallback:
        return f"{last.model} answered as fallback for {attempts[0].model}, after {failed}."
    return f"{last.model} answered after {failed}."
