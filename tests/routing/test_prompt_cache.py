"""Identical prompts are read and scored once; the cache is bounded and follows the policy."""

from experiments.core.policy import PolicyRouter
from experiments.routers.pool import RouterPool
from experiments.routing import runtime
from experiments.routing.runtime import PromptCache


def test_an_identical_prompt_is_read_once() -> None:
    cache = PromptCache()
    assert cache.look("How do I sort a list?") is cache.look("How do I sort a list?")
    assert cache.look("How do I sort a list?") is not cache.look("How do I sort a tuple?")


def test_prompts_that_no_encoding_accepts_are_read() -> None:
    assert PromptCache().look("a \ud800 b").tokens


def test_the_cache_forgets_the_oldest_prompts_first() -> None:
    cache, text = PromptCache(), "x" * runtime.LONGEST_REMEMBERED
    first, second = cache.look("the first"), cache.look("the second")
    for number in range(runtime.REMEMBERED_CHARACTERS // runtime.LONGEST_REMEMBERED - 1):
        cache.look(f"{number} {text}"[: runtime.LONGEST_REMEMBERED])
    assert cache.look("the first") is first  # now the newest
    for number in range(2):
        cache.look(f"more {number} {text}"[: runtime.LONGEST_REMEMBERED])
    assert cache.look("the first") is first
    assert cache.look("the second") is not second


def test_a_long_prompt_is_not_kept() -> None:
    cache, text = PromptCache(), "word " * runtime.LONGEST_REMEMBERED
    assert cache.look(text) is not cache.look(text)


def test_nothing_is_kept_after_a_new_policy() -> None:
    cache = PromptCache()
    before = cache.look("the same prompt")
    cache.clear()
    assert cache.look("the same prompt") is not before


def test_a_remembered_score_equals_a_fresh_one_and_the_random_router_is_never_remembered() -> None:
    pool, cache = RouterPool(), PromptCache()
    kinds = ("local", "random")
    pool.warm_up({kind: PolicyRouter(kind, kind, local=kind == "local") for kind in kinds})
    features = cache.look("What is the capital of France?")
    first = pool.score("local", features)
    assert pool.score("local", features) == first
    assert pool.score("local", PromptCache().look("What is the capital of France?")) == first
    assert len({pool.score("random", features) for _ in range(20)}) > 1
