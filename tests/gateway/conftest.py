"""The gateway as it runs: the real server, the stub provider, and OpenAI's own client."""

from collections.abc import Iterator
from socket import socket
from typing import NamedTuple

import openai
import pytest

from tests.api.server import Server, running_server
from tests.gateway.native_stub import NativeStub, running_native_stub
from tests.gateway.rows import KEY_VARIABLE, PROVIDER_KEY, secret_of
from tests.gateway.running_totals import StoredRows
from tests.gateway.stub import Stub, running_stub

FILL = "from tests.gateway.rows import fill; fill('{url}', '{full}')"
FILL_NATIVE = "from tests.gateway.native_rows import fill_native; fill_native('{url}')"


class Gateway(NamedTuple):
    """The server behind the client, with what it stored."""

    server: Server
    stored: StoredRows

    @property
    def base_url(self) -> str:
        return f"{self.server.url}/v1"

    def client(self, key: str = "plain") -> openai.OpenAI:
        """Without the client's own retries, so that tests see what the gateway does."""
        return openai.OpenAI(base_url=self.base_url, api_key=secret_of(key), max_retries=0)

    def async_client(self, key: str = "plain") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.base_url, api_key=secret_of(key), max_retries=0)


@pytest.fixture(scope="session")
def stub_process() -> Iterator[Stub]:
    with running_stub() as stub:
        yield stub


@pytest.fixture
def stub(stub_process: Stub) -> Stub:
    stub_process.forget()
    return stub_process


@pytest.fixture(scope="session")
def full() -> Iterator[str]:
    """An address where connecting never completes: no process accepts its connections."""
    with socket() as listening, socket() as first, socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, stub_process: Stub, full: str
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_server(
        folder,
        prepare=(FILL.format(url=stub_process.url, full=full),),
        **{KEY_VARIABLE: PROVIDER_KEY, "LOG_LEVEL": "INFO"},
    ) as server:
        yield Gateway(server, StoredRows(server.database))


@pytest.fixture
def client(gateway: Gateway) -> openai.OpenAI:
    return gateway.client()


@pytest.fixture(scope="session")
def native_process() -> Iterator[NativeStub]:
    with running_native_stub() as stub:
        yield stub


@pytest.fixture
def native(native_process: NativeStub) -> NativeStub:
    native_process.forget()
    return native_process


@pytest.fixture(scope="session")
def native_gateway(
    tmp_path_factory: pytest.TempPathFactory, native_process: NativeStub
) -> Iterator[Gateway]:
    """A gateway whose models speak their providers' own wire formats."""
    folder = tmp_path_factory.mktemp("native")
    with running_server(
        folder,
        prepare=(FILL_NATIVE.format(url=native_process.url),),
        **{KEY_VARIABLE: PROVIDER_KEY, "LOG_LEVEL": "INFO", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ) as server:
        yield Gateway(server, StoredRows(server.database))


@pytest.fixture
def native_client(native_gateway: Gateway) -> Iterator[openai.OpenAI]:
    with native_gateway.client() as client:
        yield client
