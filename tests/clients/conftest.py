"""Clients against the gateway of `tests/gateway/protocols`, in front of its stub."""

from tests.gateway.protocols.conftest import (  # noqa: F401
    protocol_stub,
    provider,
    switchyard,
)
