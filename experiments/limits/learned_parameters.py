"""Parameters that providers refuse, shared by all processes: read often, written rarely, deleted
after some hours."""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db.models import F

from experiments.core.parameters import PolicyRule
from experiments.core.text import storable
from experiments.models import LearnedParameter
from experiments.models.lock_order import locked_ids
from experiments.storage.transactions import run_transaction

REFRESH_SECONDS = 0.5
MAX_PER_MODEL = 50

Learned = Mapping[str, tuple[PolicyRule, ...]]


class ParameterRefusal(NamedTuple):
    """A rule that a model's provider requires, in its own terms."""

    model: str
    rule: PolicyRule
    reason: str


_lock = threading.Lock()
_read: tuple[float, dict[str, tuple[PolicyRule, ...]]] = (float("-inf"), {})


def learned(now: datetime) -> Learned:
    """By model. One query each half second."""
    global _read  # noqa: PLW0603
    read_at, rules = _read
    if time.monotonic() - read_at >= REFRESH_SECONDS:
        with _lock:
            found: dict[str, tuple[PolicyRule, ...]] = {}
            for row in LearnedParameter.objects.filter(expires_at__gt=now):
                found[row.model] = (*found.get(row.model, ()), row.as_rule())
            rules = found
            _read = (time.monotonic(), rules)
    return rules


def invalidate() -> None:
    """Clears the cache."""
    global _read  # noqa: PLW0603
    _read = (float("-inf"), {})


def remember(refusals: Sequence[ParameterRefusal], now: datetime) -> None:
    """Stores them for `LEARNED_PARAMETER_HOURS` from now; expired ones are deleted. Each row has
    its own transaction, because they are independent."""
    kept = timedelta(hours=settings.LEARNED_PARAMETER_HOURS)
    if not refusals or not kept:
        return
    run_transaction(lambda: _delete_expired(now))
    rows = {_key(each): _row(each, now, now + kept) for each in refusals}
    for key in sorted(rows):
        run_transaction(partial(_put, rows[key]))
    invalidate()


def _delete_expired(now: datetime) -> None:
    expired = locked_ids(LearnedParameter.objects.filter(expires_at__lte=now))
    if expired:
        LearnedParameter.objects.filter(pk__in=expired).delete()


def _put(row: LearnedParameter) -> None:
    same = {"model": row.model, "parameter": row.parameter, "value": row.value}
    names = ("action", "replacement", "maximum", "with_parameter", "reason", "expires_at")
    values = {name: getattr(row, name) for name in names}
    if LearnedParameter.objects.filter(**same).update(times=F("times") + 1, **values):
        return
    if LearnedParameter.objects.filter(model=row.model).count() < MAX_PER_MODEL:
        LearnedParameter.objects.bulk_create([row], ignore_conflicts=True)


def _key(refusal: ParameterRefusal) -> tuple[str, str, str]:
    rule = refusal.rule
    return refusal.model, rule.parameter, rule.only_values[0] if rule.only_values else ""


def _row(refusal: ParameterRefusal, now: datetime, until: datetime) -> LearnedParameter:
    model, parameter, value = _key(refusal)
    rule = refusal.rule
    return LearnedParameter(
        model=model,
        parameter=storable(parameter)[:60],
        value=storable(value)[:100],
        action=rule.action,
        replacement=storable(rule.replacement)[:100],
        maximum=rule.maximum,
        with_parameter=rule.with_parameter,
        reason=refusal.reason[:300],
        learned_at=now,
        expires_at=until,
    )
