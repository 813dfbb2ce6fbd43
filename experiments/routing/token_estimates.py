"""The expected number of output tokens, from recent outcomes."""

import time
from collections.abc import Mapping

from django.db.models import Avg, Case, F, When

from experiments.models import Outcome

RECENT = 2000
REFRESH_SECONDS = 60.0

_cache: tuple[float, Mapping[tuple[str, str], int]] = (float("-inf"), {})


def expected_output_tokens() -> Mapping[tuple[str, str], int]:
    """Mean output tokens per (domain, model); one query a minute."""
    global _cache  # noqa: PLW0603
    read_at, expected = _cache
    if time.monotonic() - read_at >= REFRESH_SECONDS:
        expected = _read()
        _cache = (time.monotonic(), expected)
    return expected


def invalidate() -> None:
    """Clears the cache: the next call reads the outcomes again."""
    global _cache  # noqa: PLW0603
    _cache = (float("-inf"), {})


def _answered() -> Case:
    """The model that answered: after a fallback, not the chosen one."""
    return Case(When(model="", then=F("decision__model")), default=F("model"))


def _read() -> Mapping[tuple[str, str], int]:
    recent = (
        Outcome.objects.filter(output_tokens__isnull=False)
        .order_by("-received_at")
        .values("pk")[:RECENT]
    )
    means = (
        Outcome.objects.filter(pk__in=recent)
        .order_by()
        .annotate(answered=_answered())
        .values_list("decision__domain", "answered")
        .annotate(mean=Avg("output_tokens"))
    )
    return {(domain, model): round(mean) for domain, model, mean in means}
