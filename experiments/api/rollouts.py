"""Guarded rollouts: create, start, watch, pause, roll back."""

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import experiment_shapes as shapes
from experiments.api.documentation import PAGING, endpoint
from experiments.api.errors import InvalidRequestError
from experiments.api.experiment_payloads import rollout_payload
from experiments.api.experiments import ManagedView, author_of
from experiments.api.lists import ListView
from experiments.api.requests import read
from experiments.models import Flag, Rollout
from experiments.rollouts import lifecycle
from experiments.rollouts.guards import GuardsError, checked_guards
from experiments.rollouts.monitoring import seen_by
from experiments.rollouts.steps import StepsError, check_steps
from experiments.shapes.fields import Shape

BY_HAND = "Rolled back by hand"


class RolloutsView(ManagedView, ListView):
    ordering = "key"

    @endpoint(
        "The guarded rollouts",
        {200: shapes.RolloutPage},
        parameters=PAGING,
        name="v1_rollouts_list",
    )
    def get(self, request: Request) -> Response:
        return self.page(request, _rows(), rollout_payload)

    @endpoint(
        "Plan a guarded rollout of a flag",
        {201: shapes.RolloutPayload},
        shapes.RolloutRequest,
        errors=(409,),
    )
    def post(self, request: Request) -> Response:
        given = read(shapes.RolloutRequest, request.data)
        values = {
            **dict(given),
            "flag": _flag(given.flag),
            "steps": _steps(given.steps),
            "guards": None if given.guards is None else _guards(given.guards),
        }
        known = {name: value for name, value in values.items() if value is not None}
        row = lifecycle.plan(known, author_of(request))
        return Response(rollout_payload(find(row.key)), 201)


class RolloutView(ManagedView):
    @endpoint("One rollout and its current checks", {200: shapes.RolloutDetail}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        row = find(key)
        look = seen_by(row, timezone.now()) if row.started_at else None
        worst = lifecycle.worst_case_of(row)
        payload: shapes.RolloutDetail = {
            **rollout_payload(row),
            "worst_case": worst,
            "look": look,
        }
        return Response(payload)


class RolloutStepView(ManagedView):
    """Changes the state of a rollout; the response shows the new state."""

    shape: type[Shape] = shapes.NoFields

    def post(self, request: Request, key: str) -> Response:
        row = find(key)
        self.take(row, read(self.shape, request.data or {}), author_of(request))
        return Response(rollout_payload(find(key)))

    def take(self, row: Rollout, given: Any, author: str) -> None:
        raise NotImplementedError


@extend_schema_view(
    post=endpoint("Take the first step", {200: shapes.RolloutPayload}, errors=(404, 409))
)
class StartRolloutView(RolloutStepView):
    def take(self, row: Rollout, given: Any, author: str) -> None:
        lifecycle.start(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Take the next step: one that waits for an operator, or any with a reason",
        {200: shapes.RolloutPayload},
        shapes.GoOnRequest,
        errors=(404, 409),
    )
)
class GoOnView(RolloutStepView):
    shape = shapes.GoOnRequest

    def take(self, row: Rollout, given: Any, author: str) -> None:
        if given.anyway and given.reason is None:
            message = "'reason' is missing: say why the step is taken anyway."
            raise InvalidRequestError(message, "reason", "missing")
        if given.anyway:
            lifecycle.advance_anyway(row, author, timezone.now(), given.reason)
        else:
            lifecycle.advance(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Lower the percentage at which the rollout ends",
        {200: shapes.RolloutPayload},
        shapes.TargetRequest,
        errors=(404, 409),
    )
)
class TargetView(RolloutStepView):
    shape = shapes.TargetRequest

    def take(self, row: Rollout, given: Any, author: str) -> None:
        percentage = Decimal(str(given.percentage))
        lifecycle.lower_target(row, percentage, author, timezone.now())


@extend_schema_view(
    post=endpoint("Pause it at this percentage", {200: shapes.RolloutPayload}, errors=(404, 409))
)
class PauseRolloutView(RolloutStepView):
    def take(self, row: Rollout, given: Any, author: str) -> None:
        lifecycle.pause(row, author, timezone.now())


@extend_schema_view(
    post=endpoint("Resume it where it was paused", {200: shapes.RolloutPayload}, errors=(404, 409))
)
class ResumeRolloutView(RolloutStepView):
    def take(self, row: Rollout, given: Any, author: str) -> None:
        lifecycle.resume(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Return the flag to its earlier percentage",
        {200: shapes.RolloutPayload},
        shapes.RollBackRequest,
        errors=(404, 409),
    )
)
class RollBackView(RolloutStepView):
    shape = shapes.RollBackRequest

    def take(self, row: Rollout, given: Any, author: str) -> None:
        lifecycle.roll_back(row, author, timezone.now(), given.reason or BY_HAND)


def find(key: str) -> Rollout:
    row: Rollout | None = _rows().filter(key=key).first()
    if row is None:
        raise NotFound(f"Unknown rollout '{key}'.")
    return row


def _rows() -> Any:
    return Rollout.objects.select_related("flag").prefetch_related("history").order_by("key")


def _flag(key: str) -> Flag:
    flag = Flag.objects.filter(key=key).first()
    if flag is None:
        message = f"'flag' names '{key}', which is no flag."
        raise InvalidRequestError(message, "flag", "unknown_name")
    return flag


def _guards(guards: list[Any]) -> list[dict[str, Any]]:
    try:
        return checked_guards(guards)
    except GuardsError as error:
        raise InvalidRequestError(f"'guards' cannot be used: {error}", "guards") from None


def _steps(steps: list[Any]) -> list[Any]:
    try:
        check_steps(steps)
    except StepsError as error:
        raise InvalidRequestError(f"'steps' cannot be taken: {error}", "steps") from None
    return steps
