"""The spending of API keys through the gateway, with their budgets."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from experiments.models import KeyUsage


def with_spending(keys: QuerySet[Any], now: datetime) -> Any:
    """Adds `spent_day` and `spent_month`, nano-dollars since the UTC day and month began.

    Calls that are running count with what they are expected to cost.
    """
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    return keys.annotate(spent_day=_spent(day, day), spent_month=_spent(month, day))


def _spent(since: datetime, day: datetime) -> Coalesce:
    spans = KeyUsage.objects.filter(
        key_id=OuterRef("pk"),
        span=KeyUsage.DAY,
        starts_at__gte=since,
        starts_at__lt=day + timedelta(days=1),
    )
    total = spans.order_by().values("key_id").annotate(total=Sum(F("cost"))).values("total")
    return Coalesce(Subquery(total, output_field=BigIntegerField()), 0)
