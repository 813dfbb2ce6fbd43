"""POST decisions/{id}/outcome and feedback."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import shapes
from experiments.api.base import APIView
from experiments.api.documentation import endpoint
from experiments.api.errors import InvalidRequestError, problem_of
from experiments.api.requests import read
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.models import Scope

HUMAN = "human"
# Clocks differ by a little; a time further ahead would override every later correction.
CLOCK_SKEW = timedelta(minutes=5)


class OutcomeView(APIView):
    scope = Scope.FEEDBACK

    @endpoint(
        "Report the outcome of a decision. May be repeated; the latest applies.",
        {204: None},
        shapes.OutcomeRequest,
        errors=(404, 410),
    )
    def post(self, request: Request, decision_id: UUID) -> Response:
        now = timezone.now()
        record_outcome(decision_id, _outcome(request.data, now), now)
        return Response(status=204)


class FeedbackView(APIView):
    scope = Scope.FEEDBACK

    @endpoint(
        "Rate an answer: one rating, or a list of up to 256",
        {204: None, 200: shapes.FeedbackAnswer},
        shapes.FeedbackRequest,
        errors=(404, 410),
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        if isinstance(request.data, dict) and "items" in request.data:
            return Response({"results": _many(request.data, now)})
        if refusal := record_feedback([_rating(request.data, now)], now)[0]:
            raise refusal
        return Response(status=204)


def _many(data: dict[str, Any], now: datetime) -> list[shapes.FeedbackResult]:
    items = read(shapes.RatingList, data).items
    ratings = [_attempt(item, now, f"items[{i}]") for i, item in enumerate(items)]
    refusals = iter(record_feedback([item for item in ratings if isinstance(item, Rating)], now))
    return [_result(next(refusals) if isinstance(item, Rating) else item) for item in ratings]


def _attempt(item: Any, now: datetime, path: str) -> Rating | InvalidRequestError:
    try:
        return _rating(item, now, path)
    except InvalidRequestError as error:
        return error


def _result(refusal: Exception | None) -> shapes.FeedbackResult:
    if refusal is None:
        return {"status": 204}
    problem = problem_of(refusal)
    return {"status": problem.status, "error": problem.body["error"]}


def _outcome(data: Any, now: datetime) -> OutcomeReport:
    given = read(shapes.OutcomeRequest, data)
    return OutcomeReport(
        occurred_at=_occurred_at(given.occurred_at, now),
        input_tokens=given.input_tokens,
        output_tokens=given.output_tokens,
        latency_ms=given.latency_ms,
        success=given.success,
        error=given.error or "",
    )


def _rating(data: Any, now: datetime, path: str = "") -> Rating:
    given = read(shapes.RatingPayload, data, path)
    return Rating(
        decision_id=given.decision_id,
        metric=given.metric,
        value=given.value,
        source=given.source or HUMAN,
        occurred_at=_occurred_at(given.occurred_at, now, path),
        comment=given.comment or "",
    )


def _occurred_at(given: datetime | None, now: datetime, path: str = "") -> datetime:
    """The time of arrival if it is left out."""
    if given is not None and given > now + CLOCK_SKEW:
        param = f"{path}.occurred_at" if path else "occurred_at"
        message = (
            f"'{param}' lies in the future: it is {now:%Y-%m-%dT%H:%M:%SZ} here. Send when it "
            "happened, or leave it out."
        )
        raise InvalidRequestError(message, param, "out_of_range")
    return given or now
