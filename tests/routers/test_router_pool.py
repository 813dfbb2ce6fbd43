"""The pool with local routers: ready at once, answered in the caller's thread, no RouteLLM."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from experiments.core.policy import PolicyRouter
from experiments.core.values import Failure, Score
from experiments.routers.building import check_router, checkpoint_sha256
from experiments.routers.checkpoints import MANIFEST_FILE, Manifest, write_checkpoint
from experiments.routers.embedding import default_embedding, embedding_sha256
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import featurise
from experiments.routers.pool import RouterPool, RouterStatus

PROMPT = featurise("Prove that the square root of two is irrational.")


def write_local_mf(folder: Path, seed: int = 0) -> str:
    """Small weights for kind `local_mf`; returns their sha256."""
    random = np.random.default_rng(seed)
    arrays = {
        "P.weight": random.normal(size=(2, 4)).astype(np.float32),
        "text_proj.0.weight": random.normal(size=(4, default_embedding().dimensions)).astype(
            np.float32
        ),
        "classifier.0.weight": random.normal(size=(1, 4)).astype(np.float32),
        "pair": np.array([0, 1]),
    }
    manifest = Manifest("local_mf", "nothing", "none", "MIT", embedding_sha256=embedding_sha256())
    return write_checkpoint(folder, arrays, manifest)


def local_mf(folder: Path, checkpoint: str | None = None, timeout: float = 1.0) -> PolicyRouter:
    return PolicyRouter(
        "mf_here", "local_mf", True, checkpoint, timeout, {"checkpoint_path": str(folder)}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_local_mf(tmp_path)
    return tmp_path


def test_a_local_router_scores_with_the_sha256_of_its_checkpoint(tmp_path: Path) -> None:
    sha256 = write_local_mf(tmp_path)
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(tmp_path)})
    answer = pool.score("mf_here", PROMPT)
    assert isinstance(answer, Score)
    assert answer.value == pytest.approx(0.47544, abs=1e-4)
    assert answer.checkpoint == sha256
    assert pool.statuses() == [RouterStatus("mf_here", True, "Loaded.")]


def test_the_shipped_routers_score_between_0_and_1() -> None:
    pool = RouterPool()
    pool.warm_up({name: PolicyRouter(name, name, local=True) for name in ("local", "local_mf")})
    for name in ("local", "local_mf"):
        answer = pool.score(name, PROMPT)
        assert isinstance(answer, Score)
        assert 0 < answer.value < 1
        assert answer.checkpoint == checkpoint_sha256(name, {})


def test_a_local_router_answers_in_the_callers_thread(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(folder, timeout=1e-9)})
    before = threading.active_count()
    assert isinstance(pool.score("mf_here", PROMPT), Score)
    assert threading.active_count() == before


def test_eight_threads_get_the_same_score(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(folder)})
    with ThreadPoolExecutor(8) as executor:
        scores = set(executor.map(lambda _: pool.score("mf_here", PROMPT), range(800)))
    assert len(scores) == 1


def test_an_unknown_router_is_not_ready() -> None:
    assert RouterPool().score("unknown", PROMPT) == Failure(
        "router_not_ready", "There is no router 'unknown'."
    )


def test_a_router_with_a_hyphen_is_not_loaded(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf-here": dataclasses.replace(local_mf(folder), name="mf-here")})
    assert "Use underscores" in pool.status("mf-here").detail


def test_a_loaded_router_answers_while_its_successor_loads(tmp_path: Path) -> None:
    """The successor's manifest is a pipe, so that loading waits for its text."""
    old, new = tmp_path / "old", tmp_path / "new"
    first, second = write_local_mf(old), write_local_mf(new, seed=1)
    manifest = new / MANIFEST_FILE
    text = manifest.read_text()
    manifest.unlink()
    os.mkfifo(manifest)
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(old)})
    pool.configure({"mf_here": local_mf(new)})
    with manifest.open("w") as pipe:
        assert checkpoint_of(pool) == first
        assert pool.status("mf_here") == RouterStatus(
            "mf_here", True, "Loading. The one before it answers until then."
        )
        pool.configure({"mf_here": local_mf(new, timeout=2.0)})
        assert checkpoint_of(pool) == first
        manifest.unlink()
        manifest.write_text(text)
        pipe.write(text)
    deadline = time.monotonic() + 20
    while checkpoint_of(pool) != second and time.monotonic() < deadline:
        time.sleep(0.01)
    assert checkpoint_of(pool) == second
    assert pool.status("mf_here") == RouterStatus("mf_here", True, "Loaded.")


def test_a_router_whose_successor_cannot_be_loaded_answers_no_more(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(folder)})
    pool.warm_up({"mf_here": local_mf(folder / "missing")})
    assert isinstance(pool.score("mf_here", PROMPT), Failure)
    assert not pool.status("mf_here").ready


def test_a_router_that_is_no_longer_wanted_answers_no_more(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(folder)})
    pool.configure({})
    assert isinstance(pool.score("mf_here", PROMPT), Failure)


def checkpoint_of(pool: RouterPool) -> str | None:
    answer = pool.score("mf_here", PROMPT)
    assert isinstance(answer, Score)
    return answer.checkpoint


def test_a_pinned_checkpoint_is_loaded(tmp_path: Path) -> None:
    sha256 = write_local_mf(tmp_path)
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(tmp_path, sha256)})
    assert pool.status("mf_here").ready


def test_another_file_than_the_pinned_one_is_refused(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(folder, "0" * 64)})
    answer = pool.score("mf_here", PROMPT)
    assert isinstance(answer, Failure)
    assert answer.reason == "router_not_ready"
    assert "is pinned to checkpoint 000000000000…" in answer.detail


def test_a_loaded_router_stays_when_its_file_changes_under_it(tmp_path: Path) -> None:
    first = write_local_mf(tmp_path)
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(tmp_path, first)})
    write_local_mf(tmp_path, seed=1)
    pool.configure({"mf_here": local_mf(tmp_path, first, timeout=2.0)})
    answer = pool.score("mf_here", PROMPT)
    assert isinstance(answer, Score)
    assert answer.checkpoint == first


def test_a_new_checkpoint_is_loaded_with_the_policy_that_pins_it(tmp_path: Path) -> None:
    first = write_local_mf(tmp_path)
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(tmp_path, first)})
    before = pool.score("mf_here", PROMPT)
    second = write_local_mf(tmp_path, seed=1)
    pool.warm_up({"mf_here": local_mf(tmp_path, second)})
    after = pool.score("mf_here", PROMPT)
    assert isinstance(before, Score)
    assert isinstance(after, Score)
    assert (before.checkpoint, after.checkpoint) == (first, second)
    assert before.value != after.value


def test_a_router_that_failed_gets_another_chance_with_the_next_policy(tmp_path: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(tmp_path)})
    assert "manifest.json cannot be read" in pool.status("mf_here").detail
    write_local_mf(tmp_path)
    pool.warm_up({"mf_here": local_mf(tmp_path)})
    assert pool.status("mf_here").ready


def test_a_router_that_is_gone_answers_no_more(folder: Path) -> None:
    pool = RouterPool()
    pool.warm_up({"mf_here": local_mf(folder)})
    pool.configure({})
    assert pool.statuses() == []
    assert isinstance(pool.score("mf_here", PROMPT), Failure)


def test_a_checkpoint_path_that_is_not_there_is_refused_on_save(tmp_path: Path) -> None:
    with pytest.raises(RouterConfigurationError, match=r"manifest\.json cannot be read"):
        check_router("local_mf", {"checkpoint_path": str(tmp_path)})


def test_an_unknown_argument_is_refused_on_save() -> None:
    with pytest.raises(RouterConfigurationError, match="has no argument 'path'"):
        check_router("local", {"path": "x"})


def test_an_unknown_kind_is_refused_on_save() -> None:
    with pytest.raises(RouterConfigurationError, match="There is no router kind 'matrix'"):
        check_router("matrix", {})


def test_a_local_router_loads_without_routellm(folder: Path) -> None:
    code = f"""
import sys
from experiments.core.policy import PolicyRouter
from experiments.routers.pool import RouterPool
pool, arguments = RouterPool(), {{"checkpoint_path": {str(folder)!r}}}
pool.warm_up({{"mf": PolicyRouter("mf", "local_mf", local=True, arguments=arguments)}})
print(pool.status("mf").ready, "routellm" in sys.modules, "torch" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "False", "False"]
