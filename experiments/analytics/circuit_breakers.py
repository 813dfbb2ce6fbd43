"""Models with an open circuit breaker."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from experiments.models import Circuit


class OpenBreaker(NamedTuple):
    """One model with its last error. `trips` counts openings since its last success."""

    model: str
    since: datetime
    until: datetime
    is_due: bool
    is_tried: bool
    trips: int
    reason: str

    @property
    def next_try(self) -> str:
        """When it is called again, as text."""
        if self.is_tried:
            return "A probe is running now."
        if self.is_due:
            return "The next call that would use it is the probe."
        return f"No calls until {self.until:%H:%M:%S} UTC, then one probe."


def open_breakers(now: datetime) -> Mapping[str, OpenBreaker]:
    """By model. One query."""
    rows = Circuit.objects.filter(open_until__isnull=False)
    return {row.model: _open_breaker(row, row.open_until, now) for row in rows if row.open_until}


def _open_breaker(row: Circuit, until: datetime, now: datetime) -> OpenBreaker:
    return OpenBreaker(
        model=row.model,
        since=row.opened_at or row.window_at,
        until=until,
        is_due=until <= now,
        is_tried=row.probe_until is not None and now < row.probe_until,
        trips=row.trips,
        reason=row.reason,
    )
