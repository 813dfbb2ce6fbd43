"""POST decisions/{id}/outcome and feedback."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import schemas, shapes
from experiments.api.base import APIView
from experiments.api.documentation import endpoint
from experiments.api.errors import InvalidRequestError, problem_of
from experiments.api.readers import Reader
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.models import Scope

MAX_ITEMS = 256
MAX_LATENCY_MS = 1e9
MAX_ERROR = 500
MAX_COMMENT = 2000
HUMAN = "human"
# Clocks differ by a little; a time further ahead would override every later correction.
CLOCK_SKEW = timedelta(minutes=5)
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,59}")


class OutcomeView(APIView):
    scope = Scope.FEEDBACK

    @endpoint(
        "Report the outcome of a decision. May be repeated; the latest applies.",
        {204: None},
        schemas.OutcomeRequest,
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
        PolymorphicProxySerializer(
            "FeedbackRequest",
            [schemas.Rating, schemas.RatingList],
            resource_type_field_name=None,
        ),
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
    reader = Reader(data)
    items = reader.objects("items", MAX_ITEMS)
    if items is None:
        raise reader.fail("items", "is null. Send 1 to 256 ratings.", "invalid_type")
    reader.close()
    read = [_attempt(item, now, f"items[{i}]") for i, item in enumerate(items)]
    refusals = iter(record_feedback([item for item in read if isinstance(item, Rating)], now))
    return [_result(next(refusals) if isinstance(item, Rating) else item) for item in read]


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
    reader = Reader(data)
    report = OutcomeReport(
        occurred_at=_occurred_at(reader, now),
        input_tokens=reader.integer("input_tokens"),
        output_tokens=reader.integer("output_tokens"),
        latency_ms=reader.number("latency_ms", 0, MAX_LATENCY_MS),
        success=reader.boolean("success"),
        error=reader.text("error", MAX_ERROR) or "",
    )
    reader.close()
    return report


def _rating(data: Any, now: datetime, path: str = "") -> Rating:
    reader = Reader(data, path)
    rating = Rating(
        decision_id=_decision_id(reader),
        metric=_metric(reader),
        value=_value(reader),
        source=reader.text("source", 60) or HUMAN,
        occurred_at=_occurred_at(reader, now),
        comment=reader.text("comment", MAX_COMMENT) or "",
    )
    reader.close()
    return rating


def _occurred_at(reader: Reader, now: datetime) -> datetime:
    """The time of arrival if it is left out."""
    given = reader.time("occurred_at")
    if given is not None and given > now + CLOCK_SKEW:
        raise reader.fail(
            "occurred_at",
            f"lies in the future: it is {now:%Y-%m-%dT%H:%M:%SZ} here. Send when it happened, or "
            "leave it out.",
            "out_of_range",
        )
    return given or now


def _decision_id(reader: Reader) -> UUID:
    text = reader.text("decision_id")
    if text is None:
        raise reader.fail("decision_id", "is missing.", "missing")
    try:
        return UUID(text)
    except ValueError:
        raise reader.fail("decision_id", "is no UUID.", "invalid_type") from None


def _metric(reader: Reader) -> str:
    metric = reader.text("metric")
    if metric is None:
        raise reader.fail("metric", "is missing.", "missing")
    if not _METRIC.fullmatch(metric):
        raise reader.fail("metric", "must be small letters, digits and underscores, 60 at most.")
    return metric


def _value(reader: Reader) -> float:
    given = reader.value("value")
    value = float(given) if isinstance(given, bool) else reader.number("value")
    if value is None:
        raise reader.fail("value", "is missing.", "missing")
    return float(value)
