"""Training where one model's answer is known per prompt: only kinds that can, and it is said."""

from pathlib import Path

import numpy as np
import pytest

from experiments.routers.checkpoints import read_manifest
from experiments.routers.features import featurise
from experiments.routers.loading import load_router
from experiments.routers.outcomes import OutcomesError
from experiments.routers.training.job import TrainingJob
from experiments.routers.training.training_data import TrainingSet

HARD, EASY = "prove this theorem about rings", "what colour is grass"


def rated(count: int = 200) -> TrainingSet:
    """The weak model fails on hard prompts; nine of ten of these went to the strong one."""
    generator = np.random.default_rng(1)
    hard = np.arange(count) % 2 == 0
    chance = np.where(hard, 0.9, 0.1)
    to_strong = generator.random(count) < chance
    weak = np.where(hard, 0.0, 1.0)
    return TrainingSet(
        prompts=tuple(f"{HARD if one else EASY} {i}" for i, one in enumerate(hard)),
        models=("big", "small"),
        quality=np.column_stack(
            (np.where(to_strong, 1.0, np.nan), np.where(to_strong, np.nan, weak))
        ),
        propensity=np.where(to_strong, chance, 1 - chance),
        domains=("",) * count,
        groups=tuple(f"unit-{i % 20}" for i in range(count)),
        kept_embeddings={},
    )


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_it_learns_from_one_answer_a_prompt(tmp_path: Path, kind: str) -> None:
    TrainingJob(kind, rated(), "ratings").run(tmp_path)

    router = load_router(str(tmp_path))
    assert router.score(featurise(HARD)) > router.score(featurise(EASY)) + 0.1
    data = read_manifest(tmp_path, kind).data
    effective = data["effective_prompts"]
    assert isinstance(effective, dict)
    assert 10 < effective["big"] < 100 < data["prompts"]  # type: ignore[operator]
    assert data["weights_cut_at"] == 20.0


@pytest.mark.parametrize("kind", ["local", "local_mf"])
def test_kinds_that_need_both_answers_refuse(tmp_path: Path, kind: str) -> None:
    with pytest.raises(OutcomesError, match="needs both models' answers"):
        TrainingJob(kind, rated(), "ratings").run(tmp_path)
