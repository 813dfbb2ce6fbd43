"""POST route and route/batch, GET decisions/{id}."""

from typing import Any
from uuid import UUID

from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import shapes
from experiments.api.authentication import caller_of
from experiments.api.base import APIView, request_id
from experiments.api.documentation import endpoint
from experiments.api.errors import APIError, problem_of
from experiments.api.requests import read, route_request
from experiments.decisions import shapes as decision_shapes
from experiments.decisions.lookup import get_decision
from experiments.decisions.payload import decision_payload
from experiments.models import Decision, Scope
from experiments.routing.route import RouteRequest, route, route_batch


class RouteView(APIView):
    scope = Scope.ROUTE

    @endpoint(
        "Which model should answer this prompt?",
        {201: decision_shapes.DecisionPayload, 200: decision_shapes.DecisionPayload},
        shapes.RouteRequestPayload,
    )
    def post(self, request: Request) -> Response:
        wanted = route_request(request.data, caller_of(request), request_id(request))
        return Response(decision_payload(route(wanted)), _status(wanted))


class RouteBatchView(APIView):
    scope = Scope.ROUTE

    @endpoint(
        "Which models should answer these prompts? Each is decided separately.",
        {200: shapes.BatchAnswer},
        shapes.BatchRequest,
    )
    def post(self, request: Request) -> Response:
        items = read(shapes.BatchRequest, request.data).items
        wanted = [_attempt(item, request, f"items[{i}]") for i, item in enumerate(items)]
        answers = iter(route_batch([item for item in wanted if isinstance(item, RouteRequest)]))
        results = [
            _result(item, next(answers)) if isinstance(item, RouteRequest) else _error(item)
            for item in wanted
        ]
        return Response({"results": results})


class StoredDecisionView(APIView):
    scope = Scope.READ

    @endpoint(
        "A stored decision, as it was returned",
        {200: decision_shapes.DecisionPayload},
        errors=(404, 410),
    )
    def get(self, request: Request, decision_id: UUID) -> Response:
        return Response(decision_payload(get_decision(decision_id)))


def _status(wanted: RouteRequest) -> int:
    return 200 if wanted.dry_run else 201


def _attempt(item: Any, request: Request, path: str) -> RouteRequest | Exception:
    try:
        return route_request(item, caller_of(request), request_id(request), path)
    except (APIError, APIException) as error:
        return error


def _result(wanted: RouteRequest, answer: Decision | Exception) -> shapes.BatchResult:
    if isinstance(answer, Exception):
        return _error(answer)
    return {"status": _status(wanted), "decision": decision_payload(answer)}


def _error(error: Exception) -> shapes.BatchResult:
    problem = problem_of(error)
    return {"status": problem.status, "error": problem.body["error"]}
