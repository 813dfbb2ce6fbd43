"""The pool with RouteLLM's routers: loaded behind, asked with a time-out, safe after a fork."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.core.policy import PolicyRouter
from experiments.core.values import Failure, Score
from experiments.routers.features import featurise
from experiments.routers.pool import RouterPool, RouterStatus
from tests.routers.conftest import DIMENSIONS, EmbeddingsStub

InProcess = Callable[..., Any]


def moody(timeout: float = 30.0) -> PolicyRouter:
    return PolicyRouter("moody", "moody", local=False, timeout_seconds=timeout)


def mf(checkpoints: Path, timeout: float = 30.0, **more: object) -> PolicyRouter:
    arguments = {
        "checkpoint_path": str(checkpoints / "mf"),
        "hidden_size": 8,
        "text_dim": DIMENSIONS,
        **more,
    }
    return PolicyRouter("mf", "mf", local=False, timeout_seconds=timeout, arguments=arguments)


def bert(checkpoints: Path, checkpoint: str | None = None) -> PolicyRouter:
    arguments = {"checkpoint_path": str(checkpoints / "bert")}
    return PolicyRouter("bert", "bert", False, checkpoint, 30.0, arguments)


# What runs in the process that has imported RouteLLM


def answers(router: PolicyRouter, prompts: list[str]) -> list[Score | Failure]:
    pool = RouterPool()
    pool.warm_up({router.name: router})
    return [pool.score(router.name, featurise(prompt)) for prompt in prompts]


def at_the_same_time(router: PolicyRouter, prompts: list[str]) -> list[Score | Failure]:
    pool = RouterPool()
    pool.warm_up({router.name: router})
    with ThreadPoolExecutor(len(prompts)) as executor:
        return list(
            executor.map(lambda prompt: pool.score(router.name, featurise(prompt)), prompts)
        )


def hanging(router: PolicyRouter, calls: int) -> tuple[list[Score | Failure], int]:
    """Many hanging calls, and how many threads they left."""
    pool = RouterPool()
    pool.warm_up({router.name: router})
    before = threading.active_count()
    results = [pool.score(router.name, featurise("hang")) for _ in range(calls)]
    return results, threading.active_count() - before


def statuses(routers: dict[str, PolicyRouter]) -> list[RouterStatus]:
    pool = RouterPool()
    pool.warm_up(routers)
    return pool.statuses()


def kept_and_dropped(checkpoints: Path) -> tuple[bool, bool, list[str]]:
    """Is an unchanged router the same object after a new policy, and a changed one another?"""
    pool = RouterPool()
    first, random_router = mf(checkpoints), PolicyRouter("random", "random", local=False)
    pool.warm_up({"mf": first, "random": random_router, "moody": moody()})
    before = dict(pool.controller.routers)
    changed = mf(checkpoints, strong_model="vicuna-7b")
    slower = PolicyRouter("random", "random", local=False, timeout_seconds=9)
    pool.warm_up({"mf": changed, "random": slower})
    after = pool.controller.routers
    return after["random"] is before["random"], after["mf"] is before["mf"], sorted(after)


def while_loading() -> tuple[Score | Failure, Score | Failure]:
    """What a router answers before and after it is loaded in the background."""
    from tests.routers.own_routers import SlowRouter

    pool, slow = (
        RouterPool(),
        {"slow": PolicyRouter("slow", "slow", local=False, timeout_seconds=30)},
    )
    SlowRouter.may_load.clear()
    pool.configure(slow)
    before = pool.score("slow", featurise("Hello"))
    SlowRouter.may_load.set()
    pool.warm_up(slow)
    return before, pool.score("slow", featurise("Hello"))


def in_forked_child(routers: dict[str, PolicyRouter], names: list[str]) -> list[str]:
    """Loaded before the fork, after a call and with one hanging, and asked in the child."""
    pool = RouterPool()
    pool.warm_up(routers)
    for name in names:
        pool.score(name, featurise("Hello"))
    pool._lock.acquire()  # as if another thread held it at the moment of the fork
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answers = [type(pool.score(name, featurise("Hello"))).__name__ for name in names]
        pool.configure({**routers, "late": PolicyRouter("late", "random", local=False)})
        pool.warm_up({**routers, "late": PolicyRouter("late", "random", local=False)})
        answers.append(str(pool.status("late").ready))
        os.write(writer, ",".join(answers).encode())
        os._exit(0)
    pool._lock.release()
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read().split(",")
    os.waitpid(child, 0)
    return said


def through_the_controller(router: PolicyRouter) -> tuple[str, str]:
    pool = RouterPool()
    pool.warm_up({router.name: router})
    controller = pool.controller
    return (
        controller.route("Hello", router.name, 0.0),
        controller._parse_model_name(f"router-{router.name}-0.38")[0],
    )


def sha256_of(kind: str, arguments: dict[str, object]) -> str | None:
    from experiments.routers.building import checkpoint_sha256

    return checkpoint_sha256(kind, arguments)


# The tests


def test_a_numpy_score_becomes_a_float(in_routellm_process: InProcess) -> None:
    (score,) = in_routellm_process(answers, moody(), ["Hello"])
    assert score == Score(0.25, None)
    assert type(score.value) is float


def test_nan_is_handed_on_for_the_decision_to_refuse(in_routellm_process: InProcess) -> None:
    (score,) = in_routellm_process(answers, moody(), ["nan"])
    assert type(score.value) is float
    assert score.value != score.value


def test_an_exception_is_a_failure_without_prompt_or_key(in_routellm_process: InProcess) -> None:
    assert in_routellm_process(answers, moody(), ["raise"]) == [
        Failure("router_failed", "RuntimeError: cannot answer [prompt] with [secret]")
    ]


def test_a_hanging_router_times_out_and_does_not_pile_up_threads(
    in_routellm_process: InProcess,
) -> None:
    results, threads = in_routellm_process(hanging, moody(timeout=0.02), 12)
    assert results[:8] == [Failure("router_timeout", "No answer within 0.02 s.")] * 8
    assert results[8:] == [Failure("router_timeout", "8 earlier calls still hang.")] * 4
    assert threads == 8


def test_a_hanging_endpoint_is_a_time_out(
    in_routellm_process: InProcess,
    checkpoints: Path,
    embeddings_stub: tuple[str, type[EmbeddingsStub]],
) -> None:
    embeddings_stub[1].let_go.clear()
    found = in_routellm_process(answers, mf(checkpoints, timeout=0.2), ["Please hang"])
    embeddings_stub[1].let_go.set()
    assert found == [Failure("router_timeout", "No answer within 0.2 s.")]


def test_many_threads_share_one_bert(in_routellm_process: InProcess, checkpoints: Path) -> None:
    prompts = [f"prove that the hello {number}?" * (1 + number) for number in range(16)]
    together = in_routellm_process(at_the_same_time, bert(checkpoints), prompts)
    assert together == in_routellm_process(answers, bert(checkpoints), prompts)
    assert all(isinstance(score, Score) for score in together)


def test_a_router_that_still_loads_says_so_and_then_answers(
    in_routellm_process: InProcess,
) -> None:
    before, after = in_routellm_process(while_loading)
    assert before == Failure("router_not_ready", "Loading.")
    assert after == Score(0.75, None)


def test_a_router_that_cannot_load_says_why_and_does_not_stop_the_others(
    in_routellm_process: InProcess,
) -> None:
    broken = PolicyRouter("bert", "bert", local=False, arguments={"checkpoint_path": "/no/such"})
    found = in_routellm_process(statuses, {"bert": broken, "moody": moody()})
    assert found[0][:2] == ("bert", False)
    assert "There is no folder '/no/such' on this machine" in found[0][2]
    assert found[1] == ("moody", True, "Loaded.")


def test_what_is_unchanged_is_kept_and_what_is_gone_is_dropped(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    same_random, same_mf, names = in_routellm_process(kept_and_dropped, checkpoints)
    assert (same_random, same_mf, names) == (True, False, ["mf", "random"])


def test_after_a_fork_loaded_routers_answer_and_new_ones_load(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    routers = {"mf": mf(checkpoints), "bert": bert(checkpoints), "moody": moody()}
    said = in_routellm_process(in_forked_child, routers, list(routers))
    assert said == ["Score", "Score", "Score", "True"]


def test_the_controller_holds_what_the_pool_has_loaded(in_routellm_process: InProcess) -> None:
    assert in_routellm_process(through_the_controller, moody()) == ("strong", "moody")


def test_a_score_names_the_sha256_of_its_checkpoint(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    router = bert(checkpoints)
    (score,) = in_routellm_process(answers, router, ["Hello"])
    assert score.checkpoint == in_routellm_process(sha256_of, "bert", dict(router.arguments))
    assert len(score.checkpoint) == 64


def test_a_router_without_weights_has_no_sha256(in_routellm_process: InProcess) -> None:
    assert in_routellm_process(sha256_of, "random", {}) is None


def test_a_checkpoint_other_than_the_pinned_one_is_refused(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    ((_, ready, detail),) = in_routellm_process(
        statuses, {"bert": bert(checkpoints, checkpoint="0" * 64)}
    )
    assert not ready
    assert "Router 'bert' is pinned to checkpoint 000000000000…" in detail
