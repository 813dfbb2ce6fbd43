"""Prices from the genai-prices catalogue, which is a package and needs no network."""

from decimal import Decimal
from importlib.metadata import version
from typing import NamedTuple

from genai_prices import Usage, calc_price
from genai_prices.types import PriceCalculation

from experiments.models import LanguageModel, ModelPrice

# A small call: large ones reach the dearer tiers that some models have for long contexts.
SAMPLE_TOKENS = 1_000
PER_MILLION = Decimal(1_000_000) / SAMPLE_TOKENS


class CataloguePrice(NamedTuple):
    """US dollars per million tokens. None where what a cache holds, or reasoning, costs as much as
    the rest."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None = None
    reasoning_output_per_million: Decimal | None = None


class Refreshed(NamedTuple):
    """What a refresh did, as model names."""

    changed: list[str]
    unpriced: list[str]


def catalogue_price(name: str) -> CataloguePrice | None:
    """The price of a model by LiteLLM's name, or None where the catalogue has none.

    `openai/gpt-4.1` is looked up at its provider; a provider the catalogue does not know leaves
    the model unpriced, rather than taking the price of a namesake elsewhere.
    """
    provider, _, model = name.partition("/")

    def price(cached_tokens: int, reasoning_tokens: int) -> PriceCalculation:
        usage = Usage(
            input_tokens=SAMPLE_TOKENS,
            cache_read_tokens=cached_tokens,
            output_tokens=SAMPLE_TOKENS,
            output_reasoning_tokens=reasoning_tokens,
        )
        return calc_price(usage, model or provider, provider_id=provider if model else None)

    try:
        fresh, special = price(0, 0), price(SAMPLE_TOKENS, SAMPLE_TOKENS)
    except LookupError:
        return None
    return CataloguePrice(
        fresh.input_price * PER_MILLION,
        fresh.output_price * PER_MILLION,
        special.input_price * PER_MILLION if special.input_price < fresh.input_price else None,
        special.output_price * PER_MILLION if special.output_price != fresh.output_price else None,
    )


def refresh_prices() -> Refreshed:
    """Brings the catalogue's price of every model up to date. An operator's prices stay."""
    changed, unpriced = [], []
    for model in LanguageModel.objects.prefetch_related("prices"):
        price = catalogue_price(model.name)
        if price is None:
            unpriced.append(model.name)
        elif _save_price(model, price):
            changed.append(model.name)
    return Refreshed(changed, unpriced)


def _save_price(model: LanguageModel, price: CataloguePrice) -> bool:
    """Whether the price differs from the one kept."""
    known = next((p for p in model.prices.all() if p.source == ModelPrice.CATALOGUE), None)
    if known and price == CataloguePrice(
        known.input_per_million,
        known.output_per_million,
        known.cached_input_per_million,
        known.reasoning_output_per_million,
    ):
        return False
    model.prices.update_or_create(
        source=ModelPrice.CATALOGUE,
        defaults={**price._asdict(), "source_version": version("genai-prices")},
    )
    return True
