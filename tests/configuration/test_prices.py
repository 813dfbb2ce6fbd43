"""Prices as the catalogue has them."""

from decimal import Decimal

import pytest

from experiments.configuration.apply import apply
from experiments.configuration.document import current_document
from experiments.configuration.policy_store import store
from experiments.configuration.prices import catalogue_price, refresh_prices
from experiments.models import LanguageModel, ModelPrice

REASONER = "perplexity/sonar-deep-research"


def test_price_of_reasoning_where_the_catalogue_has_one() -> None:
    found = catalogue_price(REASONER)
    assert found is not None
    assert found.output_per_million == Decimal(8)
    assert found.reasoning_output_per_million == Decimal(3)
    usual = catalogue_price("openai/gpt-4.1")
    assert usual is not None
    assert usual.reasoning_output_per_million is None


def test_model_the_catalogue_does_not_know_has_none() -> None:
    assert catalogue_price("our-own/model") is None


def test_refreshing_keeps_what_an_operator_set_and_changes_nothing_twice(seeded: None) -> None:
    LanguageModel.objects.create(name=REASONER, provider="perplexity")
    assert refresh_prices().changed == [REASONER]
    assert refresh_prices().changed == []
    row = ModelPrice.objects.get(model__name=REASONER)
    assert row.reasoning_output_per_million == Decimal(3)


@pytest.mark.parametrize("amount", ["12.5", "0"])
def test_a_file_sets_the_price_of_reasoning(seeded: None, amount: str) -> None:
    document = {"models": current_document()["models"]}
    [price] = document["models"]["openai/gpt-4.1"]["prices"]
    price["reasoning_output_per_million"] = amount
    apply(document, "tests", "")
    [value] = store.current().prices["openai/gpt-4.1"]
    assert value.reasoning_per_million == int(Decimal(amount) * 10**9)


def test_prices_of_cache_writes_and_audio() -> None:
    claude = catalogue_price("anthropic/claude-opus-5-5")
    assert claude is not None
    assert (claude.input_per_million, claude.cached_input_per_million) == (
        Decimal(4),
        Decimal("0.2"),
    )
    assert (claude.cache_write_per_million, claude.cache_write_1h_per_million) == (
        Decimal(5),
        Decimal(8),
    )
    gemini = catalogue_price("gemini/gemini-2.5-flash")
    assert gemini is not None
    assert (gemini.audio_input_per_million, gemini.audio_output_per_million) == (Decimal(1), None)
    assert gemini.cache_write_per_million is None


def test_refresh_writes_all_of_them(seeded: None) -> None:
    LanguageModel.objects.filter(name="anthropic/claude-opus-5-5").get().prices.update(
        cache_write_per_million=None
    )
    assert refresh_prices().changed == ["anthropic/claude-opus-5-5"]
    row = ModelPrice.objects.get(model__name="anthropic/claude-opus-5-5")
    assert (row.cache_write_per_million, row.cache_write_1h_per_million) == (Decimal(5), Decimal(8))
    assert row.as_value().cache_write_1h_per_million == 8 * 10**9


@pytest.mark.parametrize(
    "column",
    [
        "cache_write_per_million",
        "cache_write_1h_per_million",
        "audio_input_per_million",
        "audio_output_per_million",
    ],
)
def test_a_file_sets_them_and_older_files_need_not(seeded: None, column: str) -> None:
    document = {"models": current_document()["models"]}
    [price] = document["models"]["openai/gpt-4.1"]["prices"]
    price[column] = "12.5"
    apply(document, "tests", "")
    [value] = store.current().prices["openai/gpt-4.1"]
    assert getattr(value, column) == 12_500_000_000
    [again] = current_document()["models"]["openai/gpt-4.1"]["prices"]
    assert again[column] == "12.5"
    del price[column]
    apply(document, "tests", "")
    [value] = store.current().prices["openai/gpt-4.1"]
    assert getattr(value, column) is None
