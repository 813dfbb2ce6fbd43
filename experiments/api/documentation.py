"""Describes endpoints in the OpenAPI document."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, extend_schema

from experiments.api import schemas

COMMON_ERRORS = (400, 401, 403, 429, 503)
BODY_ERRORS = (411, 413, 415)
# Requests with unknown fields are refused.
STRICT = (
    "Criteria",
    "RouteRequest",
    "BatchRequest",
    "OutcomeRequest",
    "Rating",
    "RatingList",
    "ExperimentRequest",
    "PatchedExperimentEdit",
    "ArmRequest",
    "PolicyRequest",
    "MetricRequest",
    "StopRequest",
    "ShipRequest",
    "CloneRequest",
    "RolloutRequest",
    "RollBackRequest",
)
EXCLUSIVE = ("text", "messages")

RANGE = [
    OpenApiParameter("since", str, description="Start: a day or a time. Default: 30 days ago."),
    OpenApiParameter("until", str, description="End, exclusive. Default: now."),
    OpenApiParameter("domain", str, description="Only this domain."),
]
PAGING = [
    OpenApiParameter("cursor", str, description="The start of the page: take it from `next`."),
    OpenApiParameter("limit", int, description="Items per page, 1 to 500. Default: 100."),
]


def endpoint(
    summary: str,
    answers: dict[int, Any],
    request: Any = None,
    parameters: list[OpenApiParameter] | None = None,
    errors: tuple[int, ...] = (),
    name: str | None = None,
) -> Callable[[Any], Any]:
    """The description of one method of a view, including the errors common to all. `name` is the
    operation's, if the default from the path does not fit."""
    codes = (*COMMON_ERRORS, *errors, *(BODY_ERRORS if request else ()))
    return extend_schema(
        operation_id=name,
        summary=summary,
        request={"application/json": request} if request else None,
        responses={**answers, **dict.fromkeys(sorted(codes), schemas.Error)},
        parameters=parameters or [],
    )


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "experiments.api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        what = "An API key created in the admin. The header `x-api-key` works too."
        return {"type": "http", "scheme": "bearer", "description": what}


def finish(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Rules that serializers cannot express: no other fields, and text or messages but not both."""
    components = result["components"]["schemas"]
    for name in STRICT:
        components[name]["additionalProperties"] = False
    components["RouteRequest"]["oneOf"] = [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in EXCLUSIVE
    ]
    components["RouteRequest"]["properties"]["metadata"]["maxProperties"] = 16
    components["Rating"]["properties"]["value"]["type"] = ["number", "boolean"]
    return result
