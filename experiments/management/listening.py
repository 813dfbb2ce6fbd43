"""Checks that the server can listen on its address, before anything is prepared."""

import socket

from django.conf import settings
from django.core.management.base import CommandError


def refuse_taken_address() -> None:
    """Raises CommandError, with a hint, if the server cannot listen."""
    try:
        found = socket.getaddrinfo(settings.HOST, settings.PORT, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server does: an address that was in use a moment ago can be used again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CommandError(
            f"Cannot listen on {settings.HOST}:{settings.PORT}: {error.strerror}. Stop the process "
            "that uses it, or choose another port: make serve PORT=8001."
        ) from error
