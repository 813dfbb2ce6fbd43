"""The error page: 503 if the database is the cause, else 500."""

import sys

from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error as plain_server_error

RETRY_SECONDS = 1
UNAVAILABLE = (OperationalError, InterfaceError, InternalError)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django calls this while it handles the exception."""
    if not isinstance(sys.exception(), UNAVAILABLE):
        return plain_server_error(request)
    # Without the request's context, whose user would be read from the database.
    response = HttpResponse(render_to_string("unavailable.html"), status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
