"""The shape of what a guarded rollout sees: stored with it, answered over REST, shown on pages."""

from typing import Annotated

from typing_extensions import TypedDict

from experiments.experimentation.shapes import HealthCheckPayload, Time
from experiments.shapes.fields import described


class GuardResultPayload(TypedDict):
    """Gains are above 0 where units with the flag are better; the bounds hold at every look."""

    metric: str
    title: str
    margin: float
    margin_text: Annotated[str, described("The margin in the metric's unit.")]
    estimate: float | None
    least_gain: Annotated[float, described("Without data minus the metric's whole range.")]
    most_gain: float
    units: Annotated[int, described("Units with a value, on the side with fewer.")]
    harmful: bool
    largest_percentage: Annotated[float, described("Steps below it are allowed, or up to 100.")]
    known: Annotated[str, described("The current result, in words.")]
    needs: Annotated[str, described("What the next step still needs, in words. Empty if nothing.")]


class MissingEvidence(TypedDict):
    metric: str
    units: Annotated[
        int | None, described("More units with the flag and a value. Null: more do not help.")
    ]
    days: Annotated[float | None, described("At today's pace. Null: none arrive.")]
    message: str


class Look(TypedDict):
    at: Annotated[Time, described("When it was checked; the scheduler does it every minute.")]
    compared: Annotated[int, described("Units on the smaller side.")]
    outcome: str | None
    sentence: str | None
    next_percentage: float | None
    guards: list[GuardResultPayload]
    missing: Annotated[list[MissingEvidence], described("What the next step still needs.")]
    checks: list[HealthCheckPayload]
