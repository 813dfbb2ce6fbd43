"""The server's stored totals, recomputed from raw rows. Runs in the server's database."""

import time
from typing import Any

from django.db.models import Count, Sum

from experiments.models import (
    APIKey,
    Attempt,
    Decision,
    InFlightCall,
    KeyUsage,
    MetricSum,
    Outcome,
    Rollup,
    ServingProcess,
    UnitSum,
)


def in_flight() -> int:
    return InFlightCall.objects.count()


def busiest_process() -> int:
    """The number of the process that serves most of the calls in flight."""
    rows = InFlightCall.objects.values_list("process_id").annotate(calls=Count("pk"))
    process, _ = max(rows, key=lambda row: row[1])
    return int(ServingProcess.objects.get(pk=process).pid)


def without_outcome(decisions: list[str]) -> list[str]:
    """The answered calls whose outcome is not a success."""
    good = Outcome.objects.filter(decision_id__in=decisions, success=True)
    return sorted(set(decisions) - {str(pk) for pk in good.values_list("pk", flat=True)})


def differing_sums() -> list[str]:
    """The tables of totals that differ from the raw rows."""
    from tests.decisions import recount

    pairs = {
        "units": (recount.stored(UnitSum), recount.units()),
        "metrics": (recount.stored(MetricSum), recount.metrics()),
        "hours": (recount.stored(Rollup), recount.hours()),
        "bins": (recount.stored_bins(), recount.bins()),
    }
    return [name for name, (kept, counted) in pairs.items() if kept != counted]


def watched_totals(seconds: float) -> dict[str, Any]:
    """The differences that `verify_totals` reports while it runs repeatedly for this long."""
    from experiments.decisions.verification import verify

    looks, most, found = 0, 0, []
    until = time.monotonic() + seconds
    while looks == 0 or time.monotonic() < until:
        most = max(most, in_flight())
        found += [str(difference) for difference in verify().differences]
        looks += 1
    return {"looks": looks, "most_in_flight": most, "differences": found}


def usage(key: str) -> dict[str, list[int]]:
    """Requests, tokens and nano-dollars of a key: as charged by day and by minute, and as
    recomputed from its decisions."""
    pk = APIKey.objects.get(name=key).pk
    decisions = Decision.objects.filter(key_id=pk)
    used = Outcome.objects.filter(decision__in=decisions)
    tokens = used.aggregate(read=Sum("input_tokens"), written=Sum("output_tokens"))
    spent = Attempt.objects.filter(decision__in=decisions).aggregate(cost=Sum("cost"))["cost"]
    counted = [decisions.count(), sum(n or 0 for n in tokens.values()), spent or 0]
    return {"day": _charged(pk, "day"), "minute": _charged(pk, "minute"), "counted": counted}


def _charged(key: int, span: str) -> list[int]:
    sums = KeyUsage.objects.filter(key_id=key, span=span).aggregate(
        requests=Sum("requests", default=0),
        tokens=Sum("tokens", default=0),
        cost=Sum("cost", default=0),
    )
    return [int(value) for value in sums.values()]


def attempts() -> dict[str, int]:
    """The number of attempts by status."""
    rows = Attempt.objects.values_list("status").annotate(Count("pk"))
    return dict(rows)


def outcomes() -> list[list[Any]]:
    rows = Outcome.objects.order_by("decision_id")
    return [[row.success, row.error, row.input_tokens, row.output_tokens] for row in rows]
