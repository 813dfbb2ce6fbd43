"""The gateway in front of a stub that speaks every protocol."""

from collections.abc import Iterator

import pytest

from tests.api.server import running_server
from tests.gateway.conftest import Gateway
from tests.gateway.protocols.stub import ProtocolStub, running_protocol_stub
from tests.gateway.rows import KEY_VARIABLE, PROVIDER_KEY
from tests.gateway.running_totals import StoredRows

FILL = "from tests.gateway.protocols.rows import fill_protocols; fill_protocols('{url}')"


@pytest.fixture(scope="session")
def protocol_stub() -> Iterator[ProtocolStub]:
    with running_protocol_stub() as stub:
        yield stub


@pytest.fixture
def provider(protocol_stub: ProtocolStub) -> ProtocolStub:
    protocol_stub.forget()
    return protocol_stub


@pytest.fixture(scope="session")
def switchyard(
    tmp_path_factory: pytest.TempPathFactory, protocol_stub: ProtocolStub
) -> Iterator[Gateway]:
    settings = {KEY_VARIABLE: PROVIDER_KEY, "LOG_LEVEL": "INFO"}
    fill = FILL.format(url=protocol_stub.url)
    folder = tmp_path_factory.mktemp("protocols")
    with running_server(folder, prepare=(fill,), **settings) as server:
        yield Gateway(server, StoredRows(server.database))
