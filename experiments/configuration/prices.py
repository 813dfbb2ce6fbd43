"""Prices from the genai-prices catalogue, an installed package that needs no network."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

from genai_prices import Usage, calc_price

from experiments.models import LanguageModel, ModelPrice

# A small call: some models have more expensive tiers for long contexts.
SAMPLE_TOKENS = 1_000
PER_MILLION = Decimal(1_000_000) / SAMPLE_TOKENS


class CataloguePrice(NamedTuple):
    """US dollars per million tokens. None: the same price as other tokens."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None = None
    reasoning_output_per_million: Decimal | None = None
    cache_write_per_million: Decimal | None = None
    cache_write_1h_per_million: Decimal | None = None
    audio_input_per_million: Decimal | None = None
    audio_output_per_million: Decimal | None = None


class Refreshed(NamedTuple):
    """The result of a refresh, as model names."""

    changed: list[str]
    unpriced: list[str]


def catalogue_price(name: str) -> CataloguePrice | None:
    """The price of a model by its name in LiteLLM, or None if the catalogue has none.

    `openai/gpt-4.1` is looked up at its provider. A model of an unknown provider has no price,
    because a model of the same name elsewhere may cost something else.
    """
    try:
        return _price(partial(_per_million, name))
    except LookupError:
        return None


def _price(per_million: Callable[..., Decimal]) -> CataloguePrice:
    read, wrote = per_million("input"), per_million("output")
    write = per_million("input", cache_write_tokens=SAMPLE_TOKENS)
    hour = per_million(
        "input", cache_write_tokens=SAMPLE_TOKENS, cache_write_1h_tokens=SAMPLE_TOKENS
    )
    return CataloguePrice(
        read,
        wrote,
        cached_input_per_million=_unless(
            read, per_million("input", cache_read_tokens=SAMPLE_TOKENS)
        ),
        reasoning_output_per_million=_unless(
            wrote, per_million("output", output_reasoning_tokens=SAMPLE_TOKENS)
        ),
        cache_write_per_million=_unless(read, write),
        cache_write_1h_per_million=_unless(write, hour),
        audio_input_per_million=_unless(
            read, per_million("input", input_audio_tokens=SAMPLE_TOKENS)
        ),
        audio_output_per_million=_unless(
            wrote, per_million("output", output_audio_tokens=SAMPLE_TOKENS)
        ),
    )


def _per_million(name: str, side: str, **parts: int) -> Decimal:
    """The price per million tokens of one side, if all tokens are of the kinds in `parts`."""
    provider, _, model = name.partition("/")
    usage = Usage(input_tokens=SAMPLE_TOKENS, output_tokens=SAMPLE_TOKENS, **parts)
    found = calc_price(usage, model or provider, provider_id=provider if model else None)
    return (found.input_price if side == "input" else found.output_price) * PER_MILLION


def _unless(general: Decimal, own: Decimal) -> Decimal | None:
    return None if own == general else own


def refresh_prices() -> Refreshed:
    """Updates the catalogue's price of every model. Operators' prices do not change."""
    changed, unpriced = [], []
    for model in LanguageModel.objects.prefetch_related("prices"):
        price = catalogue_price(model.name)
        if price is None:
            unpriced.append(model.name)
        elif _save_price(model, price):
            changed.append(model.name)
    return Refreshed(changed, unpriced)


def _save_price(model: LanguageModel, price: CataloguePrice) -> bool:
    """Stores the price; returns whether it changed."""
    known = next((p for p in model.prices.all() if p.source == ModelPrice.CATALOGUE), None)
    if known and price == CataloguePrice(*(getattr(known, of) for of in CataloguePrice._fields)):
        return False
    model.prices.update_or_create(
        source=ModelPrice.CATALOGUE,
        defaults={**price._asdict(), "source_version": version("genai-prices")},
    )
    return True
