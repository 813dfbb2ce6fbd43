"""The base of all views: JSON responses, a scope, a body of known length."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from rest_framework import views
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from experiments.api.errors import LengthRequiredError
from experiments.models import Scope


class AlwaysJSON(BaseContentNegotiation):
    """The only renderer is JSON, so the Accept header is ignored."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        wanted = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


class APIView(views.APIView):
    """A view that requires one scope."""

    scope: Scope = Scope.READ
    content_negotiation_class = AlwaysJSON

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequiredError("Send the body with a Content-Length, not chunked.")


def request_id(request: Request | HttpRequest) -> str:
    """The id that RequestIdMiddleware gave this request."""
    return str(getattr(request, "request_id", ""))


class NothingHereView(APIView):
    """Every other path below /api/v1/: 404 in the form of all errors, for any method."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is nothing at {request.path}. See /api/docs/.")
