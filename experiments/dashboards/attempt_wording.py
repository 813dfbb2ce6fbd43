"""What the calls of models for one decision came to, in a sentence."""

from collections.abc import Sequence

from experiments.core.wording import plural
from experiments.models import Attempt

OK, HUNG_UP = "ok", "hung_up"


def called(attempts: Sequence[Attempt]) -> str:
    """Empty where the gateway made no call."""
    if not attempts:
        return ""
    *before, last = attempts
    failed = plural(len(before), "call") + " that failed"
    if last.status == HUNG_UP:
        return f"The caller hung up on {last.model}; what was used until then is counted."
    if last.status != OK:
        tries = plural(len(attempts), "call")
        return f"Nobody answered after {tries}: {last.model} was the last to be asked."
    if not before:
        return f"{last.model} answered the first call."
    if last.is_fallback:
        return f"{last.model} answered in place of {attempts[0].model}, after {failed}."
    return f"{last.model} answered after {failed}."
