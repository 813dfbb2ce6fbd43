"""Guarded rollouts: create, start, watch, pause, roll back."""

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import experiment_schemas as schemas
from experiments.api.documentation import PAGING, endpoint
from experiments.api.experiment_payloads import rollout_payload
from experiments.api.experiments import LONGEST_REASON, ManagedView, author_of
from experiments.api.lists import ListView
from experiments.api.readers import Reader
from experiments.models import Flag, Rollout
from experiments.rollouts import lifecycle
from experiments.rollouts.guards import MOST_GUARDS, GuardsError, checked_guards
from experiments.rollouts.monitoring import seen_by
from experiments.rollouts.steps import StepsError, check_steps

MOST_STEPS = 50
BY_HAND = "Rolled back by hand"


class RolloutsView(ManagedView, ListView):
    ordering = "key"

    @endpoint(
        "The guarded rollouts",
        {200: schemas.RolloutPage},
        parameters=PAGING,
        name="v1_rollouts_list",
    )
    def get(self, request: Request) -> Response:
        return self.page(request, _rows(), rollout_payload)

    @endpoint(
        "Plan a guarded rollout of a flag",
        {201: schemas.Rollout},
        schemas.RolloutRequest,
        errors=(409,),
    )
    def post(self, request: Request) -> Response:
        reader = Reader(request.data)
        values = {
            "flag": _flag(reader),
            "steps": _steps(reader),
            "guards": _guards(reader),
            "margin": reader.number("margin", 0.0001, 1e9),
            "alpha": reader.number("alpha", 0.001, 0.5),
            "holdback_percentage": reader.number("holdback_percentage", 0, 50),
        }
        reader.close()
        given = {k: v for k, v in values.items() if v is not None}
        row = lifecycle.plan(given, author_of(request))
        return Response(rollout_payload(find(row.key)), 201)


class RolloutView(ManagedView):
    @endpoint("One rollout and its current checks", {200: schemas.RolloutDetail}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        row = find(key)
        look = seen_by(row, timezone.now()) if row.started_at else None
        worst = lifecycle.worst_case_of(row)
        return Response({**rollout_payload(row), "worst_case": worst, "look": look})


class RolloutStepView(ManagedView):
    """Changes the state of a rollout; the response shows the new state."""

    def post(self, request: Request, key: str) -> Response:
        row = find(key)
        self.take(row, Reader(request.data or {}), author_of(request))
        return Response(rollout_payload(find(key)))

    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        raise NotImplementedError


@extend_schema_view(post=endpoint("Take the first step", {200: schemas.Rollout}, errors=(404, 409)))
class StartView(RolloutStepView):
    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        reader.close()
        lifecycle.start(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Take the next step: one that waits for an operator, or any with a reason",
        {200: schemas.Rollout},
        schemas.GoOnRequest,
        errors=(404, 409),
    )
)
class GoOnView(RolloutStepView):
    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        anyway, reason = reader.boolean("anyway"), reader.text("reason", LONGEST_REASON)
        if anyway and reason is None:
            raise reader.fail("reason", "is missing: say why the step is taken anyway.", "missing")
        reader.close()
        if anyway:
            lifecycle.advance_anyway(row, author, timezone.now(), reason or "")
        else:
            lifecycle.advance(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Lower the percentage at which the rollout ends",
        {200: schemas.Rollout},
        schemas.TargetRequest,
        errors=(404, 409),
    )
)
class TargetView(RolloutStepView):
    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        percentage = reader.number("percentage", 0.01, 100)
        if percentage is None:
            raise reader.fail("percentage", "is missing.", "missing")
        reader.close()
        lifecycle.lower_target(row, Decimal(str(percentage)), author, timezone.now())


@extend_schema_view(
    post=endpoint("Pause it at this percentage", {200: schemas.Rollout}, errors=(404, 409))
)
class PauseView(RolloutStepView):
    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        reader.close()
        lifecycle.pause(row, author, timezone.now())


@extend_schema_view(
    post=endpoint("Resume it where it was paused", {200: schemas.Rollout}, errors=(404, 409))
)
class ResumeView(RolloutStepView):
    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        reader.close()
        lifecycle.resume(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Return the flag to its earlier percentage",
        {200: schemas.Rollout},
        schemas.RollBackRequest,
        errors=(404, 409),
    )
)
class RollBackView(RolloutStepView):
    def take(self, row: Rollout, reader: Reader, author: str) -> None:
        reason = reader.text("reason", LONGEST_REASON) or BY_HAND
        reader.close()
        lifecycle.roll_back(row, author, timezone.now(), reason)


def find(key: str) -> Rollout:
    row: Rollout | None = _rows().filter(key=key).first()
    if row is None:
        raise NotFound(f"Unknown rollout '{key}'.")
    return row


def _rows() -> Any:
    return Rollout.objects.select_related("flag").prefetch_related("history").order_by("key")


def _flag(reader: Reader) -> Flag:
    key = reader.text("flag")
    if key is None:
        raise reader.fail("flag", "is missing.", "missing")
    flag = Flag.objects.filter(key=key).first()
    if flag is None:
        raise reader.fail("flag", f"names '{key}', which is no flag.", "unknown_name")
    return flag


def _guards(reader: Reader) -> list[dict[str, Any]] | None:
    guards = reader.objects("guards", MOST_GUARDS)
    if guards is None:
        return None
    try:
        return checked_guards(guards)
    except GuardsError as error:
        raise reader.fail("guards", f"cannot be used: {error}") from None


def _steps(reader: Reader) -> list[Any]:
    steps = reader.objects("steps", MOST_STEPS)
    if steps is None:
        raise reader.fail("steps", "are missing.", "missing")
    try:
        check_steps(steps)
    except StepsError as error:
        raise reader.fail("steps", f"cannot be taken: {error}") from None
    return steps
