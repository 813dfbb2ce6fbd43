"""A flag's percentage and the kill switch: each change is a revision, active within a second."""

from decimal import Decimal

from experiments import formatting
from experiments.configuration.revisions import Author, revision
from experiments.core.policy import MASTER_FLAG
from experiments.models import Flag


def set_percentage(key: str, percentage: Decimal, author: Author, reason: str = "") -> Flag:
    """Raising the percentage keeps all units that were on. Raises Flag.DoesNotExist, and
    ValidationError if the flag does not allow that percentage."""
    note = f"{key} at {formatting.percentage(percentage)}" + (f": {reason}" if reason else "")
    return _write(key, percentage, author, note)


def throw_kill_switch(author: Author, reason: str = "") -> Flag:
    """Switches routing off for all units: every prompt goes to the domain selector."""
    note = "Kill switch" + (f": {reason}" if reason else "")
    return _write(MASTER_FLAG, Decimal(0), author, note)


def _write(key: str, percentage: Decimal, author: Author, note: str) -> Flag:
    with revision(author, note[:500]):
        flag = Flag.objects.get(key=key)
        flag.percentage = percentage
        flag.full_clean()
        flag.save()
    return flag
