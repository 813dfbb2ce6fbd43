"""The shipped local routers: scores that make sense, checkpoints that are verified."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from experiments.core.policy import PolicyRouter
from experiments.routers import local, local_mf
from experiments.routers.building import build
from experiments.routers.checkpoints import (
    CheckpointError,
    read_checkpoint,
    read_manifest,
    write_checkpoint,
)
from experiments.routers.domain_prompts import load_sources
from experiments.routers.features import featurise
from experiments.routers.loading import Scorer, load_router
from experiments.routers.local import EARLIER, LocalRouter, calibrated_thresholds
from experiments.routers.local_mf import LocalMFRouter
from experiments.routers.mf_model import MFWeights

EASY = (
    "hello, nice to meet you",
    "What is the capital of Norway?",
    "Translate 'good night' into Italian.",
    "What's 2+2?",
)
HARD = (
    "Prove that every finite group of prime order is cyclic and generalise the argument.",
    "Derive the Euler-Lagrange equations for a field theory with a constraint.",
    "Design a Byzantine fault tolerant consensus protocol and analyse its message complexity.",
)


@pytest.fixture(scope="module")
def router() -> LocalRouter:
    return LocalRouter.load()


def test_hard_open_prompts_score_above_easy_ones(router: LocalRouter) -> None:
    easy = [router.score(featurise(prompt)) for prompt in EASY]
    hard = [router.score(featurise(prompt)) for prompt in HARD]

    assert max(easy) < calibrated_thresholds()["overall"] < min(hard)


def test_half_of_a_domains_open_prompts_reach_its_threshold(router: LocalRouter) -> None:
    """About: recorded questions count half where a domain has some."""
    thresholds = calibrated_thresholds()
    for source in load_sources():
        prompts = [featurise(text) for text in source.prompts]
        scores = [router.score(one) for one in prompts if not one.options]
        share = sum(score >= thresholds[source.domain] for score in scores) / len(scores)
        assert 0.25 <= share <= 0.75, (source.domain, share)


def test_length_does_not_order_open_prompts(router: LocalRouter) -> None:
    texts = [text for source in load_sources() for text in source.prompts]
    prompts = [one for one in map(featurise, texts) if not one.options]
    scores = [router.score(one) for one in prompts]
    lengths = [float(len(one.text)) for one in prompts]
    assert abs(spearmanr(scores, lengths).statistic) <= 0.3


@pytest.mark.parametrize(
    "easy", ["2+2?", "Write a function that adds two numbers", "What is the capital of France?"]
)
@pytest.mark.parametrize("hard", ["Implement Paxos in Rust", "Prove the four colour theorem"])
def test_a_short_hard_request_comes_before_an_easy_one(
    router: LocalRouter, easy: str, hard: str
) -> None:
    assert router.score(featurise(easy)) < router.score(featurise(hard))


def test_a_prompt_in_words_that_training_never_saw_is_at_the_level(router: LocalRouter) -> None:
    assert router.model.prior is not None
    level = router.win_rate(router.model.prior.level)
    for text in ("xqzv wqrk", "\u0f40\u0f41\u0f42 \u0f44\u0f45\u0f46", "qqxz " * 90):
        assert router.score(featurise(text)) == pytest.approx(level, abs=0.005)


def test_pinned_routers_keep_the_earlier_weights() -> None:
    pinned = read_manifest(EARLIER / "local_1", "local").sha256
    old = build(PolicyRouter("local", "local", True, pinned))
    assert old.checkpoint == pinned
    assert old.score(featurise("Hello.")) == pytest.approx(0.672290564, abs=1e-6)
    assert build(PolicyRouter("local", "local", True)).checkpoint == LocalRouter.load().sha256


@pytest.mark.parametrize("kind", ["local", "local_mf"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("\x00\xff\x00", id="binary-looking"),
        pytest.param("🙂" * 30, id="emoji-only"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param("ما هي عاصمة فرنسا؟", id="right-to-left"),
        pytest.param("word " * 20_000, id="100000-characters"),
        pytest.param("\nA. \nB. " * 10_000, id="many-options"),
        pytest.param("9" * 100_000, id="one-long-number"),
    ],
)
def test_odd_prompts_score_between_0_and_1(kind: str, text: str) -> None:
    assert 0.0 <= load_router(kind).score(featurise(text)) <= 1.0


def test_eight_threads_get_what_one_gets(router: LocalRouter) -> None:
    prompts = [f"Explain theorem {i} on hyperbolic {i}-manifolds" for i in range(100)]
    alone = [router.score(featurise(prompt)) for prompt in prompts]
    found: list[list[float]] = []

    def score_all() -> None:
        found.append([router.score(featurise(prompt)) for prompt in prompts])

    threads = [threading.Thread(target=score_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 8


def test_every_shipped_domain_has_a_threshold() -> None:
    thresholds = calibrated_thresholds()

    assert set(thresholds) == {"overall", *(source.domain for source in load_sources())}
    assert all(0.0 < threshold < 1.0 for threshold in thresholds.values())


@pytest.mark.parametrize(("module", "kind"), [(local, "local"), (local_mf, "local_mf")])
def test_the_manifest_says_where_the_weights_come_from(module: object, kind: str) -> None:
    manifest = read_checkpoint(Path(str(vars(module)["CHECKPOINT"])), kind).manifest

    assert manifest.command.startswith("manage.py train_router")
    assert manifest.licence
    assert manifest.data["left_out"] == ["high_school_mathematics"]
    assert set(manifest.measured) == {"questions", "groups", "gsm8k"}
    assert len(manifest.sha256) == 64


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    shutil.copytree(local.CHECKPOINT, folder)
    return folder


def test_a_copy_elsewhere_loads_by_its_path(copy: Path) -> None:
    prompt = featurise("Why is the sky blue?")

    assert load_router(str(copy)).score(prompt) == load_router("local").score(prompt)


def test_changed_weights_are_refused(copy: Path) -> None:
    weights = copy / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"sha256 differs.*train_router"):
        LocalRouter.load(copy)


def test_another_embedding_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "embedding_sha256": "0" * 64}))

    with pytest.raises(CheckpointError, match="trained on another embedding"):
        LocalRouter.load(copy)


def test_another_kind_is_refused(copy: Path) -> None:
    with pytest.raises(CheckpointError, match="of kind 'local', not 'local_mf'"):
        LocalMFRouter.load(copy)


def test_weights_for_other_features_are_refused(copy: Path) -> None:
    checkpoint = read_checkpoint(copy, "local")
    arrays = dict(checkpoint.arrays)
    arrays["choices.dense.mean"] = arrays["choices.dense.mean"][:-1]
    write_checkpoint(copy, arrays, checkpoint.manifest)

    with pytest.raises(CheckpointError, match="written by another version"):
        LocalRouter.load(copy)


@pytest.mark.parametrize("content", ["", "[]", '{"kind": "local", "surprise": 1}'])
def test_a_broken_manifest_is_refused(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)

    with pytest.raises(CheckpointError, match="is not a manifest"):
        LocalRouter.load(copy)


def test_missing_files_are_named(copy: Path) -> None:
    (copy / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"weights.safetensors cannot be read"):
        LocalRouter.load(copy)

    (copy / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"manifest.json cannot be read"):
        LocalRouter.load(copy)


def test_an_unknown_name_says_which_there_are() -> None:
    known = "local, local_mf, complexity, random"
    with pytest.raises(CheckpointError, match=f"no router 'loacl'. Give {known}"):
        load_router("loacl")


def test_random_scores_differ_and_repeat_with_the_seed() -> None:
    prompt = featurise("x")

    def drawn(router: Scorer) -> list[float]:
        return [router.score(prompt) for _ in range(5)]

    assert len(set(drawn(load_router("random", 1)))) == 5
    assert drawn(load_router("random", 1)) == drawn(load_router("random", 1))


def test_matrix_factorisation_is_the_difference_of_two_logits() -> None:
    weights = MFWeights(
        models=np.array([[3.0, 4.0], [0.0, 2.0]], dtype=np.float32),
        text_projection=np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]], dtype=np.float32),
        classifier=np.array([[2.0, -1.0]], dtype=np.float32),
        strong=0,
        weak=1,
    )

    # Unit rows (.6, .8) and (0, 1); their difference times the classifier is (1.2, .2).
    assert weights.direction().tolist() == pytest.approx([1.2, 0.2, 2.6])
