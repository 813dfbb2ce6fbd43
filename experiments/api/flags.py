"""Flags: read one, set its percentage, and the kill switch."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import shapes
from experiments.api.documentation import endpoint
from experiments.api.errors import InvalidRequestError
from experiments.api.experiments import ManagedView, author_of
from experiments.api.lists import flag_payload, flag_rows
from experiments.api.requests import read
from experiments.configuration import flags
from experiments.models import Flag


class FlagView(ManagedView):
    @endpoint("One flag", {200: shapes.FlagPayload}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        return Response(flag_payload(_find(key)))

    @endpoint(
        "Set its percentage, everywhere within a second",
        {200: shapes.FlagPayload},
        shapes.FlagEdit,
        errors=(404,),
    )
    def patch(self, request: Request, key: str) -> Response:
        _find(key)
        given = read(shapes.FlagEdit, request.data)
        percentage = _percentage(given)
        try:
            flags.set_percentage(key, percentage, author_of(request), given.reason or "")
        except ValidationError as error:
            param, messages = next(iter(error.message_dict.items()))
            raise InvalidRequestError(f"'{param}': {messages[0]}", param) from error
        return Response(flag_payload(_find(key)))


@extend_schema_view(
    post=endpoint(
        "The kill switch: turns routing off at once",
        {200: shapes.FlagPayload},
        shapes.KillSwitch,
    )
)
class KillSwitchView(ManagedView):
    def post(self, request: Request) -> Response:
        given = read(shapes.KillSwitch, request.data or {})
        flag = flags.throw_kill_switch(author_of(request), given.reason or "")
        return Response(flag_payload(_find(flag.key)))


def _find(key: str) -> Flag:
    row: Flag | None = flag_rows().filter(key=key).first()
    if row is None:
        raise NotFound(f"Unknown flag '{key}'.")
    return row


def _percentage(given: shapes.FlagEdit) -> Decimal:
    percentage = Decimal(str(given.percentage))
    if percentage != round(percentage, 2):
        message = "'percentage' takes two digits after the point at most."
        raise InvalidRequestError(message, "percentage")
    return percentage
