"""GET domains, models and flags: the current configuration."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from django.db.models import Count, Q, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import shapes
from experiments.api.base import APIView
from experiments.api.documentation import PAGING, endpoint
from experiments.api.errors import InvalidRequestError
from experiments.core.money import price_on, usd
from experiments.core.text import is_storable
from experiments.models import Domain, Flag, FlagEntry, LanguageModel, Scope
from experiments.models.catalog import price_order
from experiments.shapes.fields import copied


class Pages(CursorPagination):
    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 500

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if re.fullmatch(r"[0-9]{1,3}", given) and 1 <= int(given) <= self.max_page_size:
            return int(given)
        message = f"'limit' must be a whole number from 1 to {self.max_page_size}."
        raise InvalidRequestError(message, "limit", "out_of_range")

    def decode_cursor(self, request: Request) -> Cursor | None:
        message = "'cursor' is invalid. Take it from 'next'."
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise InvalidRequestError(message, "cursor") from None
        if cursor is not None and not is_storable(str(cursor.position)):
            raise InvalidRequestError(message, "cursor")
        return cursor


class ListView(APIView):
    """Rows ordered by one unique column, one page at a time."""

    scope = Scope.READ
    ordering: ClassVar[str]

    def page(
        self,
        request: Request,
        rows: "QuerySet[Any]",
        payload: Callable[[Any], Mapping[str, Any]],
    ) -> Response:
        pages = Pages()
        pages.ordering = self.ordering
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([payload(row) for row in page])


class DomainsView(ListView):
    ordering = "name"

    @endpoint("The domains and their models", {200: shapes.DomainPage}, parameters=PAGING)
    def get(self, request: Request) -> Response:
        rows = Domain.objects.select_related("flag", "router", "strong_model", "weak_model")
        return self.page(request, rows, domain_payload)


class ModelsView(ListView):
    ordering = "name"

    @endpoint("The models and their prices", {200: shapes.ModelPage}, parameters=PAGING)
    def get(self, request: Request) -> Response:
        today = datetime.now(UTC).date()
        rows = LanguageModel.objects.prefetch_related("prices")
        return self.page(request, rows, lambda row: model_payload(row, today))


class FlagsView(ListView):
    ordering = "key"

    @endpoint(
        "The flags and their percentages",
        {200: shapes.FlagPage},
        parameters=PAGING,
        name="v1_flags_list",
    )
    def get(self, request: Request) -> Response:
        return self.page(request, flag_rows(), flag_payload)


def flag_rows() -> "QuerySet[Any]":
    return Flag.objects.select_related("domain").annotate(
        allowed=Count("entries", filter=Q(entries__kind=FlagEntry.EntryKind.ALLOW)),
        denied=Count("entries", filter=Q(entries__kind=FlagEntry.EntryKind.DENY)),
    )


def domain_payload(row: Domain) -> shapes.DomainPayload:
    policy = row.routing_policy()
    flag = getattr(row, "flag", None)
    return {
        **copied(row, shapes.DomainColumns),
        "flag": {"key": flag.key, "percentage": float(flag.percentage)} if flag else None,
        "policy": {
            "method": str(policy.method),
            "router": policy.router,
            "threshold": policy.threshold,
            "strong_model": policy.strong,
            "weak_model": policy.weak,
            "epsilon": policy.epsilon,
        },
        "target": {
            "kind": row.target_kind,
            "value": row.target_number,
            "followed": row.follows_target,
            "strong_share": row.followed_share,
        },
    }


def model_payload(row: LanguageModel, today: date) -> shapes.ModelPayload:
    prices = tuple(price.as_value() for price in sorted(row.prices.all(), key=price_order))
    price = price_on(prices, today)
    return {
        **copied(row, shapes.ModelColumns),
        "price": None
        if price is None
        else {
            "currency": "USD",
            "input_per_million": usd(price.input_per_million),
            "output_per_million": usd(price.output_per_million),
            "per_request": usd(price.per_request),
            "source": price.source,
        },
    }


def flag_payload(row: Any) -> shapes.FlagPayload:
    return {
        "key": row.key,
        "kind": row.kind,
        "domain": row.domain.name if row.domain else None,
        "percentage": float(row.percentage),
        "description": row.description,
        "allowed_units": row.allowed,
        "denied_units": row.denied,
    }
