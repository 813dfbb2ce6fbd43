"""Experiments: create, edit, start, watch, stop, ship."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import experiment_shapes as shapes
from experiments.api.authentication import caller_of
from experiments.api.base import APIView
from experiments.api.documentation import PAGING, endpoint
from experiments.api.errors import InvalidRequestError
from experiments.api.experiment_payloads import check_payload, experiment_payload
from experiments.api.experiment_requests import drop_unchanged, experiment_values
from experiments.api.lists import ListView
from experiments.api.requests import read
from experiments.experimentation import edits, lifecycle, shipping
from experiments.experimentation import shapes as result_shapes
from experiments.experimentation.checklists import checklist
from experiments.experimentation.planning import propose
from experiments.experimentation.result_payloads import results_payload, size_payload
from experiments.experimentation.results import results
from experiments.models import Experiment, Scope
from experiments.shapes.fields import Shape

STATUS = OpenApiParameter(
    "status",
    str,
    enum=result_shapes.STATUSES,
    description="Only this status. Default: all but archived.",
)


class ManagedView(APIView):
    """Reading requires the scope `read`, everything else `manage`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.scope = Scope.READ if request.method in {"GET", "HEAD", "OPTIONS"} else Scope.MANAGE
        super().initial(request, *args, **kwargs)


class ExperimentsView(ManagedView, ListView):
    ordering = "key"

    @endpoint(
        "The experiments",
        {200: shapes.ExperimentPage},
        parameters=[*PAGING, STATUS],
        name="v1_experiments_list",
    )
    def get(self, request: Request) -> Response:
        status = read(shapes.ExperimentQuery, request.query_params.dict()).status
        rows = _rows().order_by("key")
        if status is None:
            rows = rows.exclude(status=Experiment.Status.ARCHIVED)
        else:
            rows = rows.filter(status=status)
        return self.page(request, rows, experiment_payload)

    @endpoint(
        "Create a draft",
        {201: shapes.ExperimentPayload},
        shapes.ExperimentRequest,
        errors=(409,),
    )
    def post(self, request: Request) -> Response:
        given = read(shapes.ExperimentRequest, request.data)
        values = experiment_values(given)
        try:
            row = edits.create(given.key, values, author_of(request))
        except ValidationError as error:
            raise refusal_of(error, given.key) from error
        return Response(experiment_payload(find(row.key)), 201)


class ExperimentView(ManagedView):
    @endpoint("One experiment", {200: shapes.ExperimentPayload}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        return Response(experiment_payload(find(key)))

    @endpoint(
        "Edit it. While it runs, changed arms start a new phase",
        {200: shapes.ExperimentPayload},
        shapes.ExperimentEdit,
        errors=(404, 409),
    )
    def patch(self, request: Request, key: str) -> Response:
        row = find(key)
        data = drop_unchanged(request.data, experiment_payload(row))
        values = experiment_values(read(shapes.ExperimentEdit, data))
        try:
            edits.edit(row, values, author_of(request), timezone.now())
        except ValidationError as error:
            raise refusal_of(error, key) from error
        return Response(experiment_payload(find(key)))


class StepView(ManagedView):
    """Changes the state of an experiment; the response shows the new state."""

    shape: type[Shape] = shapes.NoFields

    def post(self, request: Request, key: str) -> Response:
        row = find(key)
        self.take(row, read(self.shape, request.data or {}), author_of(request))
        return Response(experiment_payload(find(key)))

    def take(self, row: Experiment, given: Any, author: str) -> None:
        raise NotImplementedError


@extend_schema_view(post=endpoint("Start it", {200: shapes.ExperimentPayload}, errors=(404, 409)))
class StartView(StepView):
    def take(self, row: Experiment, given: Any, author: str) -> None:
        lifecycle.start(row, author, timezone.now())


@extend_schema_view(
    post=endpoint(
        "Pause it: no unit is enrolled", {200: shapes.ExperimentPayload}, errors=(404, 409)
    )
)
class PauseView(StepView):
    def take(self, row: Experiment, given: Any, author: str) -> None:
        lifecycle.pause(row, author)


@extend_schema_view(
    post=endpoint(
        "Resume it: units return to their arms", {200: shapes.ExperimentPayload}, errors=(404, 409)
    )
)
class ResumeView(StepView):
    def take(self, row: Experiment, given: Any, author: str) -> None:
        lifecycle.resume(row, author)


@extend_schema_view(
    post=endpoint(
        "Stop it, with a reason",
        {200: shapes.ExperimentPayload},
        shapes.StopRequest,
        errors=(404, 409),
    )
)
class StopView(StepView):
    shape = shapes.StopRequest

    def take(self, row: Experiment, given: Any, author: str) -> None:
        now = timezone.now()
        lifecycle.stop(row, author, now, reason=given.reason, verdict=verdict_of(row))


@extend_schema_view(
    post=endpoint(
        "Archive it: its results stay", {200: shapes.ExperimentPayload}, errors=(404, 409)
    )
)
class ArchiveView(StepView):
    def take(self, row: Experiment, given: Any, author: str) -> None:
        lifecycle.archive(row, author)


@extend_schema_view(
    post=endpoint(
        "Write an arm's policy into the domain, and stop. Once",
        {200: shapes.ExperimentPayload},
        shapes.ShipRequest,
        errors=(404, 409),
    )
)
class ShipView(StepView):
    shape = shapes.ShipRequest

    def take(self, row: Experiment, given: Any, author: str) -> None:
        if given.anyway and given.reason is None:
            message = "'reason' is missing. Say why it is shipped anyway."
            raise InvalidRequestError(message, "reason", "missing")
        if given.reason is not None and not given.anyway:
            message = "'reason' goes with anyway. Leave it out, or send both."
            raise InvalidRequestError(message, "reason")
        shipping.ship(row, given.arm, author, timezone.now(), anyway=given.reason or "")


class CloneView(ManagedView):
    @endpoint(
        "A draft with the same configuration",
        {201: shapes.ExperimentPayload},
        shapes.CloneRequest,
        errors=(404, 409),
    )
    def post(self, request: Request, key: str) -> Response:
        row = find(key)
        wanted = read(shapes.CloneRequest, request.data).key
        try:
            twin = lifecycle.clone(row, wanted, author_of(request))
        except ValidationError as error:
            raise refusal_of(error, wanted) from error
        return Response(experiment_payload(find(twin.key)), 201)


class ChecklistView(ManagedView):
    @endpoint("The conditions for starting it", {200: result_shapes.Checklist}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        checks = checklist(find(key), timezone.now().date())
        ready = all(check.passed for check in checks)
        return Response({"ready": ready, "checks": [check_payload(check) for check in checks]})


class PlanView(ManagedView):
    @endpoint(
        "The required size, from recent units", {200: result_shapes.PlanPayload}, errors=(404,)
    )
    def get(self, request: Request, key: str) -> Response:
        return Response(size_payload(propose(find(key), timezone.now().date())))


class ResultsView(ManagedView):
    @endpoint("Its current results", {200: result_shapes.ResultsPayload}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        return Response(results_payload(results(find(key), timezone.now())))


def find(key: str) -> Experiment:
    row: Experiment | None = _rows().filter(key=key).first()
    if row is None:
        raise NotFound(f"Unknown experiment '{key}'.")
    return row


def _rows() -> Any:
    return Experiment.objects.select_related("domain").prefetch_related(
        "arms__router", "arms__strong_model", "arms__weak_model", "metrics", "phases"
    )


def verdict_of(row: Experiment) -> str:
    """The current verdict, in the form stored with a stopped experiment."""
    verdict = results(row, timezone.now(), series=False).verdict
    return str(verdict.outcome) if verdict else ""


def author_of(request: Request) -> str:
    """The name of a key in the history."""
    return f"API key {caller_of(request).key.name}"[:150]


def refusal_of(error: ValidationError, key: str) -> InvalidRequestError:
    """The first problem, with its field."""
    if hasattr(error, "message_dict"):
        param, messages = next(iter(error.message_dict.items()))
        return InvalidRequestError(
            f"'{param}': {messages[0]}", None if param == "__all__" else param
        )
    param, _, message = error.messages[0].partition(": ")
    return InvalidRequestError(message, param.removeprefix(f"experiments.{key}."), "unknown_name")
