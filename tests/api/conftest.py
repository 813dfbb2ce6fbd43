"""Callers of the REST API."""

from collections.abc import Iterator

import pytest
from drf_spectacular.generators import SchemaGenerator

from experiments.configuration.policy_store import store
from experiments.limits import api_keys
from experiments.models import Scope
from experiments.routing.runtime import engine
from tests.api.client import API, Document, secret_with
from tests.api.server import Server, running_server


@pytest.fixture(scope="session")
def openapi() -> Document:
    """The OpenAPI document from /api/schema/."""
    document: Document = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return document


@pytest.fixture(autouse=True)
def _fresh_keys() -> Iterator[None]:
    api_keys.invalidate()
    yield
    api_keys.invalidate()


@pytest.fixture
def api(seeded: None, openapi: Document) -> API:
    """A caller with every scope. Routers are loaded, as in a server before it listens."""
    engine.warm_up(store.current())  # waits once; loaded routers are kept
    return API(openapi, secret_with(*Scope))


@pytest.fixture
def stranger(db: None, openapi: Document) -> API:
    """A caller without a key."""
    return API(openapi, None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server, started once for all tests that need it."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running
