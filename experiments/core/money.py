"""Money as integer nano-dollars, so that sums are exact. `None` is "unknown", never zero."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import overload

from experiments.core.usage import Usage

NANO = 1_000_000_000
PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """A model's prices between two dates.

    `input_per_million` and `output_per_million` are nano-dollars per million tokens, `per_request`
    nano-dollars per call. `valid_from` is included, `valid_until` is not; None leaves that side
    open. The prices below `source` apply to some kinds of tokens. None means the price of the next
    more general kind: one-hour cache writes default to cache writes, these to input; cache reads
    and audio input default to input; reasoning and audio output default to output.
    """

    input_per_million: int
    output_per_million: int
    per_request: int = 0
    cached_per_million: int | None = None
    source: str = ""
    valid_from: date | None = None
    valid_until: date | None = None
    reasoning_per_million: int | None = None
    cache_write_per_million: int | None = None
    cache_write_1h_per_million: int | None = None
    audio_input_per_million: int | None = None
    audio_output_per_million: int | None = None

    def holds_on(self, day: date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day < self.valid_until
        )

    def cost(
        self,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        reasoning_tokens: int = 0,
    ) -> int:
        """Nano-dollars for one call, rounded half up. `cached_tokens` are part of the input,
        `reasoning_tokens` part of the output."""
        if not (cached_tokens or reasoning_tokens):
            return self._rounded(self._plain(input_tokens, output_tokens))
        return self.cost_of(Usage(input_tokens, output_tokens, cached_tokens, reasoning_tokens))

    def cost_of(self, usage: Usage) -> int:
        """Nano-dollars for one call, rounded half up."""
        tokens = self._plain(usage.input_tokens, usage.output_tokens)
        if usage.has_parts:
            tokens += sum(
                count * difference for count, difference in self._differences(usage) if count
            )
        return self._rounded(tokens)

    def _plain(self, input_tokens: int, output_tokens: int) -> int:
        return input_tokens * self.input_per_million + output_tokens * self.output_per_million

    def _rounded(self, tokens: int) -> int:
        return self.per_request + (tokens + PER_MILLION // 2) // PER_MILLION

    def _differences(self, usage: Usage) -> Iterator[tuple[int | None, int]]:
        """Counts of tokens with their own price, and its difference from the general price."""
        write = _either(self.cache_write_per_million, self.input_per_million)
        hour = _either(self.cache_write_1h_per_million, write)
        for count, price in (
            (usage.cached_tokens, self.cached_per_million),
            (usage.cache_write_tokens, write),
            (usage.cache_write_1h_tokens, hour),
            (usage.input_audio_tokens, self.audio_input_per_million),
        ):
            yield count, _either(price, self.input_per_million) - self.input_per_million
        for count, price in (
            (usage.reasoning_tokens, self.reasoning_per_million),
            (usage.output_audio_tokens, self.audio_output_per_million),
        ):
            yield count, _either(price, self.output_per_million) - self.output_per_million


def _either(price: int | None, other: int) -> int:
    return other if price is None else price


# Prices for some kinds of tokens, as stored decisions name them.
PARTS: dict[str, str] = {
    "cached": "cached_per_million",
    "reasoning": "reasoning_per_million",
    "cache_write": "cache_write_per_million",
    "cache_write_1h": "cache_write_1h_per_million",
    "audio_input": "audio_input_per_million",
    "audio_output": "audio_output_per_million",
}


def price_on(prices: tuple[Price, ...], day: date) -> Price | None:
    """The first price valid on that day: callers list overrides before the catalog's prices."""
    return next((price for price in prices if price.holds_on(day)), None)


def total(costs: Iterable[int | None]) -> int | None:
    """The sum, or None if one of them is unknown."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


@overload
def usd(nano: int) -> str: ...


@overload
def usd(nano: None) -> None: ...


@overload
def usd(nano: int | None) -> str | None: ...


def usd(nano: int | None) -> str | None:
    """Nano-dollars as a plain decimal string without trailing zeros: 120000 -> "0.00012"."""
    if nano is None:
        return None
    amount = (Decimal(nano) / NANO).normalize()
    return f"{amount:f}"
