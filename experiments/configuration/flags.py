"""A flag's percentage and the kill switch: each change is one revision, at work within a second."""

from decimal import Decimal

from experiments.configuration.revisions import Author, revision
from experiments.core.policy import MASTER_FLAG
from experiments.models import Flag


def set_percentage(key: str, percentage: Decimal, author: Author, reason: str = "") -> Flag:
    """Nobody who was in moves out where it rises. Raises Flag.DoesNotExist, and ValidationError
    where the flag does not take that percentage."""
    note = f"{key} at {percentage.normalize():f} %" + (f": {reason}" if reason else "")
    return _write(key, percentage, author, note)


def throw_kill_switch(author: Author, reason: str = "") -> Flag:
    """Routing off for everybody: every prompt goes to the domain selector."""
    note = "Kill switch" + (f": {reason}" if reason else "")
    return _write(MASTER_FLAG, Decimal(0), author, note)


def _write(key: str, percentage: Decimal, author: Author, note: str) -> Flag:
    with revision(author, note[:500]):
        flag = Flag.objects.get(key=key)
        flag.percentage = percentage
        flag.full_clean()
        flag.save()
    return flag
