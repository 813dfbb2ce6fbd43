"""What all tests share: a clean process for each, and one installation to start from."""

import logging
import math
from collections.abc import Iterator

import hypothesis
import pytest
from django.core.cache import cache

from experiments.configuration.policy_store import store
from experiments.decisions.decision_rows import stored_table
from experiments.routing import runtime, token_estimates

# How fast examples are made says something about the machine, nothing about the code.
hypothesis.settings.register_profile(
    "switchyard", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("switchyard")

DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what touches the database, so that it can be run again on PostgreSQL."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker(pytest.mark.database)


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Nothing a process keeps in memory survives a test. Commands make the log quieter."""
    level = logging.getLogger("switchyard").level
    store.invalidate()
    token_estimates.invalidate()
    runtime.tables.invalidate()
    stored_table.cache_clear()
    runtime.tables.seconds_apart = math.inf  # tests that move tables read them themselves
    cache.clear()
    yield
    store.invalidate()
    runtime.tables.invalidate()
    logging.getLogger("switchyard").setLevel(level)


@pytest.fixture
def seeded(db: None) -> None:
    """The configuration a new installation starts with."""
    from tests.installation import install

    install()
