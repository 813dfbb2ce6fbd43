"""The tokens of one call, in one shape for all providers."""

from typing import NamedTuple


class Usage(NamedTuple):
    """`input_tokens` and `output_tokens` are totals; the other counts are parts of them.

    Of the input: `cached_tokens` were read from the provider's cache, `cache_write_tokens` written
    to it for its usual lifetime (Anthropic: five minutes), `cache_write_1h_tokens` for an hour;
    `input_audio_tokens` are audio. Of the output: `reasoning_tokens` and `output_audio_tokens`.
    None: the provider does not report it. `reported_cost` is the provider's figure in nano-dollars.
    With `estimated`, Switchyard estimated the counts.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    reported_cost: int | None = None

    @property
    def has_parts(self) -> bool:
        """Whether some of the tokens may have a price of their own."""
        return any((*self[2:4], *self[5:9]))

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens
