"""Describes endpoints in the OpenAPI document."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel

from experiments.api import shapes
from experiments.shapes.json_schema import component_name, json_schema

COMMON_ERRORS = (400, 401, 403, 429, 503)
BODY_ERRORS = (411, 413, 415)

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
        request={"application/json": _documented(request)} if request else None,
        responses={
            **{code: _documented(shape) for code, shape in answers.items()},
            **dict.fromkeys(sorted(codes), _documented(shapes.Error)),
        },
        parameters=parameters or [],
    )


class Documented:
    """A shape in the place of a serializer. `partial`: the document lists no field as required."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        self.partial = False


def _documented(shape: Any) -> Any:
    is_shape = isinstance(shape, type) and issubclass(shape, BaseModel | dict)
    return Documented(shape) if is_shape else shape


class ShapeExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """As drf_spectacular.contrib.pydantic, also for typed dictionaries, with our JSON schema."""

    target_class = "experiments.api.documentation.Documented"

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        return component_name(self.target.shape.__name__)

    def get_identity(self, auto_schema: AutoSchema, direction: str) -> str:
        return self.get_name(auto_schema, direction)

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        schema = json_schema(self.target.shape)
        for name, nested in schema.pop("$defs", {}).items():
            kind = ResolvedComponent.SCHEMA
            component = ResolvedComponent(name, kind, nested, name)  # type: ignore[no-untyped-call]
            auto_schema.registry.register_on_missing(component)
        if self.target.partial:
            schema.pop("required", None)
        return schema


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "experiments.api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        what = "An API key created in the admin. The header `x-api-key` works too."
        return {"type": "http", "scheme": "bearer", "description": what}
