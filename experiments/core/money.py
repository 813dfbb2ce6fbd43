"""Money as integer nano-dollars, so that sums are exact. `None` is "unknown", never zero."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

NANO = 1_000_000_000
PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs between two dates.

    `input_per_million` and `output_per_million` are nano-dollars for a million tokens,
    `per_request` nano-dollars for each call. `valid_from` is included, `valid_until` is not;
    None leaves that side open. Where `cached_per_million` is None, tokens the provider read from
    its cache cost as much as any other; so do tokens of reasoning without `reasoning_per_million`.
    """

    input_per_million: int
    output_per_million: int
    per_request: int = 0
    cached_per_million: int | None = None
    source: str = ""
    valid_from: date | None = None
    valid_until: date | None = None
    reasoning_per_million: int | None = None

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
        """Nano-dollars for one call, rounded half up. `cached_tokens` are among the input's,
        `reasoning_tokens` among the output's."""
        tokens = input_tokens * self.input_per_million + output_tokens * self.output_per_million
        if self.cached_per_million is not None:
            tokens -= cached_tokens * (self.input_per_million - self.cached_per_million)
        if self.reasoning_per_million is not None:
            tokens += reasoning_tokens * (self.reasoning_per_million - self.output_per_million)
        return self.per_request + (tokens + PER_MILLION // 2) // PER_MILLION


def price_on(prices: tuple[Price, ...], day: date) -> Price | None:
    """The first price that holds on that day: callers list overrides before the catalogue's."""
    return next((price for price in prices if price.holds_on(day)), None)


def total(costs: Iterable[int | None]) -> int | None:
    """Unknown where one of them is."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


def usd(nano: int | None) -> str | None:
    """Nano-dollars as a plain decimal string without trailing zeros: 120000 -> "0.00012"."""
    if nano is None:
        return None
    amount = (Decimal(nano) / NANO).normalize()
    return f"{amount:f}"
