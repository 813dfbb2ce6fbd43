"""Token usage of a call: as its provider reports it, or estimated if it does not.

Providers report the same counts under many names, and some exclude from a total what others
include. `read_usage` normalizes all of them; docs/gateway.md lists the supported forms."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from experiments.core.costs import BYTES_PER_TOKEN
from experiments.core.money import NANO
from experiments.core.usage import Usage

Reported = Mapping[str, Any]

_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokenCount")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHE_READ = (
    "cached_tokens",  # OpenAI's details; Moonshot next to prompt_tokens
    "prompt_cache_hit_tokens",  # DeepSeek
    "cache_read_input_tokens",  # Anthropic, LiteLLM
    "num_cached_tokens",  # Mistral
    "cachedContentTokenCount",  # Gemini
)
_CACHE_WRITE = (
    "cache_creation_input_tokens",  # Anthropic, LiteLLM
    "cache_creation_tokens",  # LiteLLM's details
    "cache_write_tokens",  # OpenAI's and OpenRouter's details
)
_BY_LIFETIME = ("cache_creation", "cache_creation_token_details")  # Anthropic, LiteLLM
_ANTHROPIC = ("cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation")
_REASONING = ("reasoning_tokens", "thoughtsTokenCount")
_PLAIN = frozenset(("prompt_tokens", "completion_tokens", "total_tokens"))
_HIGHEST_COST = 1_000_000 * NANO  # no call costs a million dollars


class OutputCounter:
    """Counts a model's output, for providers that report no usage."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, part: Any) -> None:
        """A `message` or a `delta`."""
        if not isinstance(part, dict):
            return
        for name in ("content", "reasoning_content", "reasoning", "refusal"):
            self._text(part.get(name))
        for call in part.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self._text(function.get("name"))
                self._text(function.get("arguments"))

    def _text(self, text: Any) -> None:
        """A text, or a list of parts with texts."""
        if isinstance(text, str):
            self.bytes += len(text.encode(errors="replace"))
        elif isinstance(text, list):
            for part in text:
                if isinstance(part, dict):
                    self._text(part.get("text"))
                    self._text(part.get("thinking"))

    @property
    def tokens(self) -> int:
        return -(-self.bytes // BYTES_PER_TOKEN)


class UsageLimits(NamedTuple):
    """Limits of a call's usage: input tokens as estimated, and the longest possible answer."""

    input_tokens: int
    most: int
    answers: int = 1


def reported_in(data: Mapping[str, Any]) -> Reported | None:
    """Where a response, or an event of a stream, reports usage."""
    for name in ("usage", "usageMetadata"):  # Gemini's is the second
        if isinstance(found := data.get(name), dict) and found:
            return found
    choices = data.get("choices")
    holders = [data.get("x_groq"), *(choices if isinstance(choices, list) else ())]  # Moonshot
    for holder in holders:
        if isinstance(holder, dict) and isinstance(found := holder.get("usage"), dict) and found:
            return found
    return None


def merged(known: Reported | None, later: Reported | None) -> Reported | None:
    """Usage reported by several events of a stream: the last value of each count."""
    if not known or not later:
        return later or known
    return {**known, **{name: value for name, value in later.items() if value is not None}}


def usage_of(reported: Any, expected: UsageLimits, written: OutputCounter) -> Usage:
    """The provider's numbers if they are plausible, else our own, marked as estimated."""
    known: Reported = reported if isinstance(reported, dict) else {}
    without_total = {name: value for name, value in known.items() if name not in _TOTAL}
    for each in (known, without_total):
        usage = read_usage(each)
        if usage is not None and _can_be_true(usage, expected, written):
            return usage
    cost = _reported_cost(known)
    return Usage(expected.input_tokens, written.tokens, estimated=True, reported_cost=cost)


def usage_of_part(reported: Any, expected: UsageLimits, written: OutputCounter) -> Usage:
    """The same for an incomplete response: the provider's last count may be older than the last
    chunk received."""
    usage = usage_of(reported, expected, written)
    if written.tokens <= usage.output_tokens:
        return usage
    return usage._replace(output_tokens=written.tokens, estimated=True)


def _can_be_true(usage: Usage, expected: UsageLimits, written: OutputCounter) -> bool:
    if not 0 < usage.input_tokens <= expected.most:
        return False
    if usage.output_tokens > expected.most * expected.answers:
        return False
    return bool(usage.output_tokens or not written.bytes)


def read_usage(reported: Reported) -> Usage | None:
    """The reported usage in normal form; None without counts of input and output."""
    if (plain := _read_plain(reported)) is not None:
        return plain
    read, wrote = _first(reported, _INPUT), _first(reported, _OUTPUT)
    if wrote is None and "promptTokenCount" in reported:
        wrote = 0  # Gemini leaves out counts of zero
    if read is None or wrote is None:
        return None
    return _Reader(reported, read, wrote).usage()


def _read_plain(reported: Reported) -> Usage | None:
    """OpenAI's three counts and nothing else, which most providers report: there is nothing to
    interpret. None for any other form."""
    if any(name not in _PLAIN and value is not None for name, value in reported.items()):
        return None
    read, wrote = reported.get("prompt_tokens"), reported.get("completion_tokens")
    total = reported.get("total_tokens")
    if type(read) is not int or type(wrote) is not int or read < 0 or wrote < 0:
        return None
    if total is not None and (type(total) is not int or not 0 <= total <= read + wrote):
        return None
    return Usage(read, wrote)


class _Reader:
    """Finds the parts, then which of them the provider's input and output counts exclude.

    Parts are included in these counts unless the provider's form defines otherwise, the total
    shows it (it exceeds their sum), or a part exceeds the whole."""

    def __init__(self, reported: Reported, read: int, wrote: int) -> None:
        self._reported = reported
        self._read, self._wrote = read, wrote
        self._input = _details(reported, _INPUT_DETAILS)
        self._output = _details(reported, _OUTPUT_DETAILS)
        self._tools = _first(reported, ("toolUsePromptTokenCount",)) or 0
        total = _first(reported, _TOTAL)
        self._beyond = 0 if total is None else max(0, total - read - wrote - self._tools)

    def usage(self) -> Usage:
        cached = _most(_every(self._input, _CACHE_READ), _every(self._reported, _CACHE_READ))
        write, hour = self._writes()
        reasoning = _first({**self._reported, **self._output}, _REASONING)
        cache = (cached or 0) + (write or 0) + (hour or 0)
        if self._leaves_out_cache(cache, reasoning or 0):
            self._read += cache
            self._beyond = max(0, self._beyond - cache)
        if self._beyond and not reasoning:
            reasoning = self._beyond
        if reasoning and self._leaves_out_reasoning(reasoning):
            self._wrote += reasoning
        return self._bounded(cached, write, hour, reasoning)

    def _bounded(
        self, cached: int | None, write: int | None, hour: int | None, reasoning: int | None
    ) -> Usage:
        """Parts never overlap and never exceed the whole."""
        read = self._read + self._tools
        audio = self._audio(self._input, "prompt")
        cached, write, hour, audio = _within(read, cached, write, hour, audio)
        audio_output = self._audio(self._output, "candidates")
        reasoning, audio_output = _within(self._wrote, reasoning, audio_output)
        return Usage(
            read,
            self._wrote,
            cached_tokens=cached,
            cache_write_tokens=write,
            cache_write_1h_tokens=hour,
            input_audio_tokens=audio,
            reasoning_tokens=reasoning,
            output_audio_tokens=audio_output,
            reported_cost=_reported_cost(self._reported),
        )

    def _writes(self) -> tuple[int | None, int | None]:
        """Cache writes with the usual lifetime, and with one hour."""
        written = _first({**self._reported, **self._input}, _CACHE_WRITE)
        lifetimes = _details({**self._reported, **self._input}, _BY_LIFETIME)
        hour = _first(lifetimes, ("ephemeral_1h_input_tokens",))
        usual = _first(lifetimes, ("ephemeral_5m_input_tokens",))
        if hour is None:
            return (usual if written is None else written), None
        return max(usual or 0, (written or 0) - hour), hour

    def _leaves_out_cache(self, cache: int, reasoning: int) -> bool:
        if not cache:
            return False
        if any(name in self._reported for name in _ANTHROPIC):
            return "input_tokens" in self._reported or cache > self._read or self._beyond >= cache
        return self._beyond in {cache, cache + reasoning}

    def _leaves_out_reasoning(self, reasoning: int) -> bool:
        """xAI and Gemini include it in the total; Perplexity excludes it from that too."""
        if "thoughtsTokenCount" in self._reported or "citation_tokens" in self._reported:
            return True
        return reasoning > self._wrote or reasoning <= self._beyond

    def _audio(self, details: Reported, gemini: str) -> int | None:
        if (found := _first(details, ("audio_tokens",))) is not None:
            return found
        modalities = self._reported.get(f"{gemini}TokensDetails")
        for each in modalities if isinstance(modalities, list) else ():
            if isinstance(each, dict) and each.get("modality") == "AUDIO":
                return _count(each.get("tokenCount"))
        return None


def _every(place: Reported, names: tuple[str, ...]) -> list[int]:
    return [count for name in names if (count := _count(place.get(name))) is not None]


def _most(*counts: list[int]) -> int | None:
    return max((count for found in counts for count in found), default=None)


def _first(place: Reported, names: tuple[str, ...]) -> int | None:
    """The first of these that is a count."""
    return next(iter(_every(place, names)), None)


def _within(whole: int, *parts: int | None) -> list[int | None]:
    """The parts, each capped at what the earlier ones leave of the whole."""
    bounded = []
    for part in parts:
        bounded.append(None if part is None else min(part, whole))
        whole -= bounded[-1] or 0
    return bounded


def _details(reported: Reported, names: tuple[str, ...]) -> Reported:
    for name in names:
        if isinstance(found := reported.get(name), dict):
            return found
    return {}


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value >= 0 else None


def _reported_cost(reported: Reported) -> int | None:
    """Nano-dollars: OpenRouter's `cost` and what its upstream charged, Perplexity's, xAI's."""
    cost, details = reported.get("cost"), reported.get("cost_details")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    amounts = [_dollars(cost)]
    if reported.get("is_byok") is True and isinstance(details, dict):
        amounts.append(_dollars(details.get("upstream_inference_cost")))
    if (ticks := _count(reported.get("cost_in_usd_ticks"))) is not None:
        amounts = [Decimal(ticks) / 10_000_000_000]
    if None in amounts:
        return None
    nano = round(sum((amount for amount in amounts if amount is not None), Decimal(0)) * NANO)
    return nano if 0 <= nano <= _HIGHEST_COST else None


def _dollars(amount: Any) -> Decimal | None:
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        return None
    try:
        value = Decimal(str(amount))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
