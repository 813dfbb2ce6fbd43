"""What an upgrade changes in configuration rows takes effect with the next start's `seed`."""

from decimal import Decimal

from experiments.configuration.policy_store import store
from experiments.configuration.seeding import seed
from experiments.models import ModelPrice, PolicyRevision, ProviderEndpoint


def test_prices_and_timeouts_that_a_migration_changed(seeded: None) -> None:
    before = PolicyRevision.objects.count()
    ProviderEndpoint.objects.filter(name="openai").update(first_token_seconds=123.0)
    prices = ModelPrice.objects.filter(model__name="anthropic/claude-opus-5-5")
    prices.update(cache_write_1h_per_million=Decimal(9))
    seed()
    assert PolicyRevision.objects.count() == before + 1
    store.invalidate()
    policy = store.current()
    assert policy.upstreams["openai/gpt-4.1"].endpoint.first_token_seconds == 123.0
    [price] = policy.prices["anthropic/claude-opus-5-5"]
    assert price.cache_write_1h_per_million == 9 * 10**9
    seed()
    assert PolicyRevision.objects.count() == before + 1
