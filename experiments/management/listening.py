"""Where the server will listen, looked at before anything is prepared for it."""

import socket

from django.conf import settings
from django.core.management.base import CommandError


def refuse_taken_address() -> None:
    """Raises CommandError where the server could not listen, with what to do."""
    try:
        found = socket.getaddrinfo(settings.HOST, settings.PORT, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server does it: an address that was in use a moment ago may be taken again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CommandError(
            f"Nothing can listen on {settings.HOST}:{settings.PORT}: {error.strerror}. Stop what "
            "listens there, or choose another: make serve PORT=8001."
        ) from error
