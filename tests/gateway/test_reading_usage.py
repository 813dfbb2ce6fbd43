"""Every provider's usage in normal form. The examples come from the providers' documentation."""

from typing import Any

import pytest

from experiments.core.money import Price
from experiments.core.usage import Usage
from experiments.gateway.usage import (
    OutputCounter,
    UsageLimits,
    merged,
    read_usage,
    reported_in,
    usage_of,
    usage_of_part,
)

OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
}
XAI = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "cached_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
}
DEEPSEEK = {
    "prompt_tokens": 1200,
    "completion_tokens": 80,
    "total_tokens": 1280,
    "prompt_cache_hit_tokens": 1152,
    "prompt_cache_miss_tokens": 48,
    "completion_tokens_details": {"reasoning_tokens": 60},
}
ANTHROPIC = {
    "input_tokens": 50,
    "output_tokens": 20,
    "cache_read_input_tokens": 1800,
    "cache_creation_input_tokens": 556,
    "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
}
LITELLM_ANTHROPIC = {
    "prompt_tokens": 2406,
    "completion_tokens": 20,
    "total_tokens": 2426,
    "prompt_tokens_details": {
        "cached_tokens": 1800,
        "cache_creation_tokens": 556,
        "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": 456,
            "ephemeral_1h_input_tokens": 100,
        },
    },
    "cache_creation_input_tokens": 556,
    "cache_read_input_tokens": 1800,
}
GEMINI = {
    "promptTokenCount": 100,
    "candidatesTokenCount": 10,
    "thoughtsTokenCount": 40,
    "toolUsePromptTokenCount": 7,
    "cachedContentTokenCount": 64,
    "totalTokenCount": 157,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 80},
        {"modality": "AUDIO", "tokenCount": 20},
    ],
}
GEMINI_AS_OPENAI = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 515}
PERPLEXITY = {
    "prompt_tokens": 33,
    "completion_tokens": 7163,
    "total_tokens": 7196,
    "citation_tokens": 20016,
    "reasoning_tokens": 5305,
    "cost": {"total_cost": 0.817},
}
MISTRAL = {
    "prompt_tokens": 90,
    "completion_tokens": 11,
    "total_tokens": 101,
    "num_cached_tokens": 64,
}
OPENROUTER = {
    "prompt_tokens": 194,
    "completion_tokens": 2,
    "total_tokens": 196,
    "cost": 0.95e-3,
    "cost_details": {"upstream_inference_cost": None},
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100},
}
AUDIO = {
    "prompt_tokens": 120,
    "completion_tokens": 200,
    "total_tokens": 320,
    "prompt_tokens_details": {"audio_tokens": 90, "cached_tokens": 0},
    "completion_tokens_details": {"audio_tokens": 150, "reasoning_tokens": 0},
}


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (OPENAI, Usage(2006, 300, 1920, 192, input_audio_tokens=0, output_audio_tokens=0)),
        (XAI, Usage(32, 103, 6, 94, input_audio_tokens=0, output_audio_tokens=0)),
        (DEEPSEEK, Usage(1200, 80, 1152, 60)),
        (
            ANTHROPIC,
            Usage(2406, 20, 1800, cache_write_tokens=456, cache_write_1h_tokens=100),
        ),
        (
            LITELLM_ANTHROPIC,
            Usage(2406, 20, 1800, cache_write_tokens=456, cache_write_1h_tokens=100),
        ),
        (GEMINI, Usage(107, 50, 64, 40, input_audio_tokens=20)),
        (GEMINI_AS_OPENAI, Usage(10, 505, None, 500)),
        (PERPLEXITY, Usage(33, 12_468, None, 5305, reported_cost=817_000_000)),
        (MISTRAL, Usage(90, 11, 64)),
        (OPENROUTER, Usage(194, 2, 0, cache_write_tokens=100, reported_cost=950_000)),
        (
            AUDIO,
            Usage(120, 200, 0, 0, input_audio_tokens=90, output_audio_tokens=150),
        ),
        ({"prompt_tokens": 9.0, "completion_tokens": 2}, Usage(9, 2)),
        ({"prompt_tokens": 9}, None),
        ({}, None),
    ],
)
def test_shape(reported: dict[str, Any], usage: Usage | None) -> None:
    assert read_usage(reported) == usage


def openai(reasoning: int, total: int | None) -> dict[str, Any]:
    counts = {"prompt_tokens": 100, "completion_tokens": 400}
    details = {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    return {**counts, **details, **({} if total is None else {"total_tokens": total})}


@pytest.mark.parametrize(
    ("reasoning", "total", "wrote"),
    [
        (300, 500, 400),  # among the 400
        (300, 800, 700),  # in addition to them, as the total shows
        (300, None, 400),
        (4000, None, 4400),  # more than the whole output, so not part of it
        (4000, 4500, 4400),
        (0, 500, 400),
        (400, 500, 400),
        (400, 900, 800),
    ],
)
def test_reasoning_is_counted_once(reasoning: int, total: int | None, wrote: int) -> None:
    usage = read_usage(openai(reasoning, total))
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (wrote, reasoning)


def test_input_without_the_cache_is_completed_by_the_total() -> None:
    counts = {"prompt_tokens": 50, "completion_tokens": 20, "cache_read_input_tokens": 30}
    inclusive, exclusive = ({**counts, "total_tokens": total} for total in (70, 100))
    assert read_usage(inclusive) == Usage(50, 20, 30)
    assert read_usage(exclusive) == Usage(80, 20, 30)


def test_parts_never_exceed_the_whole_nor_overlap() -> None:
    usage = read_usage(
        {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {
                "cached_tokens": 90,
                "cache_write_tokens": 90,
                "audio_tokens": 90,
            },
        }
    )
    assert usage == Usage(100, 10, 90, cache_write_tokens=10, input_audio_tokens=0)


@pytest.mark.parametrize(
    "data",
    [
        {"choices": [], "usage": {"prompt_tokens": 3}},
        {"choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 3}}},
        {"choices": [{"index": 0, "usage": {"prompt_tokens": 3}}]},
        {"usageMetadata": {"prompt_tokens": 3}, "usage": None},
    ],
)
def test_location_of_usage(data: dict[str, Any]) -> None:
    assert reported_in(data) == {"prompt_tokens": 3}


@pytest.mark.parametrize("usage", [None, {}, [], "x", 7])
def test_no_usage(usage: Any) -> None:
    assert reported_in({"usage": usage, "choices": [None, "x"]}) is None


def test_several_events_of_a_stream() -> None:
    known = merged(None, {"prompt_tokens": 9, "completion_tokens": 1})
    known = merged(known, {"prompt_tokens": None, "completion_tokens": 5})
    assert merged(known, None) == {"prompt_tokens": 9, "completion_tokens": 5}


def test_impossible_total_is_ignored() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 10**9}
    assert usage_of(usage, UsageLimits(3, 1000), OutputCounter()) == Usage(10, 5)


def test_last_usage_of_an_interrupted_answer_may_be_too_old() -> None:
    written = OutputCounter()
    written.add({"content": "x" * 80})
    started = {"prompt_tokens": 10, "completion_tokens": 1}
    assert usage_of_part(started, UsageLimits(3, 1000), written) == Usage(10, 20, estimated=True)
    assert usage_of_part(None, UsageLimits(3, 1000), written) == Usage(3, 20, estimated=True)
    over = {"prompt_tokens": 10, "completion_tokens": 25}
    assert usage_of_part(over, UsageLimits(3, 1000), written) == Usage(10, 25)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "12345678"},
        {"reasoning": "12345678"},
        {"reasoning_content": "1234", "content": "5678"},
        {"content": [{"type": "text", "text": "1234"}, {"type": "thinking", "thinking": "5678"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "12345678"}]}]},
        {"tool_calls": [{"function": {"name": "abcd", "arguments": "{  }"}}]},
    ],
)
def test_all_output_is_counted(delta: dict[str, Any]) -> None:
    written = OutputCounter()
    written.add(delta)
    assert written.tokens == 2


COUNTS = (None, 0, 7, 12, 19, 25, -1, True, 7.0, "7", 2**70)


@pytest.mark.parametrize("read", COUNTS)
@pytest.mark.parametrize("wrote", COUNTS)
@pytest.mark.parametrize("total", COUNTS)
def test_openais_plain_counts_read_like_all_others(read: Any, wrote: Any, total: Any) -> None:
    """The short way for three counts and the way for all forms (here with a count of zero cached
    tokens, which says nothing) find the same."""
    plain = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": total}
    long_way = read_usage({**plain, "num_cached_tokens": 0})
    assert read_usage(plain) == (long_way and long_way._replace(cached_tokens=None))


PRICE = Price(
    input_per_million=1_000_000,
    output_per_million=10_000_000,
    cached_per_million=100_000,
    reasoning_per_million=5_000_000,
    cache_write_per_million=1_250_000,
    cache_write_1h_per_million=2_000_000,
    audio_input_per_million=8_000_000,
    audio_output_per_million=20_000_000,
)


def test_each_kind_has_its_price() -> None:
    usage = Usage(1000, 100, 200, 30, False, 300, 100, 50, 20)
    read = 200 * 0.1 + 300 * 1.25 + 100 * 2 + 50 * 8 + 350 * 1
    wrote = 30 * 5 + 20 * 20 + 50 * 10
    assert PRICE.cost_of(usage) == read + wrote == 2395


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(1_000_000, 0, cache_write_1h_tokens=1_000_000), 1_250_000),
        (Usage(1_000_000, 0, input_audio_tokens=1_000_000), 1_000_000),
        (Usage(0, 1_000_000, output_audio_tokens=1_000_000), 10_000_000),
        (Usage(0, 1_000_000, reasoning_tokens=1_000_000), 10_000_000),
    ],
)
def test_kind_without_a_price_costs_as_much_as_the_more_general_one(
    usage: Usage, cost: int
) -> None:
    price = Price(1_000_000, 10_000_000, cache_write_per_million=1_250_000)
    assert price.cost_of(usage) == cost


def test_reasoning_outside_the_output_is_billed() -> None:
    reported = {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 430,
        "completion_tokens_details": {"reasoning_tokens": 400},
    }
    price = Price(input_per_million=4 * 10**9, output_per_million=8 * 10**9)
    usage = read_usage(reported)
    assert usage is not None
    assert price.cost_of(usage) == 20 * 4000 + 410 * 8000
