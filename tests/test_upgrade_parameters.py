"""Calls and endpoints of earlier releases, after the upgrade to parameter rules."""

from collections.abc import Iterator

import pytest

from tests.test_upgrade import FIRST, add_attempt
from tests.upgrading import migrated_to, newest, restored

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield from restored()


def test_calls_of_before_were_sent_as_they_came() -> None:
    before = migrated_to(FIRST)
    add_attempt(before)
    before("ProviderEndpoint").objects.create(
        name="old", base_url="http://127.0.0.1:1/v1", dropped_parameters=["seed"]
    )

    after = migrated_to(newest())
    assert after("Attempt").objects.get().changes == []
    assert after("ProviderEndpoint").objects.get(name="old").dropped_parameters == ["seed"]
    assert after("ParameterRule").objects.count() == 0  # `seed` brings them
