"""The gain model: what it learns from, and that leaving a unit out equals fitting without it."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.analysis.learning import gain_model, prompt_kernel
from experiments.analysis.learning.gain_model import MOST_LABELS, GainModel, Labels, newest
from experiments.analysis.learning.prompt_kernel import PromptKernel
from experiments.analysis.learning.replay import RecordedTraffic
from tests.analysis.learning_worlds import made_up_traffic


def labels_of(traffic: RecordedTraffic, strong: np.ndarray, weak: np.ndarray) -> Labels:
    rows = np.concatenate((np.flatnonzero(strong), np.flatnonzero(weak)))
    is_strong = np.arange(len(rows)) < strong.sum()
    quality = np.where(is_strong, traffic.strong[rows], traffic.weak[rows])
    return Labels(rows, is_strong, quality.astype(np.float32))


def test_leaving_a_unit_out_equals_fitting_without_its_labels() -> None:
    rng = np.random.default_rng(3)
    traffic = made_up_traffic(rng, 60)
    units = np.repeat(np.arange(30), 2)
    model = GainModel(traffic.model.kernel, traffic.model.shipped, units)
    strong = rng.random(60) < 0.6
    labels = labels_of(traffic, strong, ~strong | (rng.random(60) < 0.3))
    every = np.arange(60)

    held_out = model.gains(labels, every).held_out

    level = labels.quality.mean()
    for unit in (0, 7, 29):
        kept = units[labels.rows] != unit
        without = Labels(*(column[kept] for column in labels))
        # The overall level stays that of all labels; its shift moves no estimate by more than this.
        shift = abs(float(without.quality.mean() - level))
        expected = model.gains(without, every).fresh[units == unit]
        assert held_out[units == unit] == pytest.approx(expected, abs=1e-3 + shift)


def test_without_labels_the_order_is_the_shipped_one() -> None:
    traffic = made_up_traffic(np.random.default_rng(4), 50)
    none = np.zeros(50, dtype=bool)

    gains = traffic.model.gains(labels_of(traffic, none, none), np.arange(50))

    assert not len(gains.residuals)
    assert np.argsort(gains.fresh).tolist() == np.argsort(traffic.model.shipped).tolist()


def test_a_residual_is_what_the_other_labels_do_not_explain() -> None:
    traffic = made_up_traffic(np.random.default_rng(8), 40)
    labels = labels_of(traffic, np.ones(40, dtype=bool), np.zeros(40, dtype=bool))
    every = np.arange(40)

    once = traffic.model.gains(labels, every).residuals
    moved = labels._replace(quality=labels.quality + np.where(labels.rows == 3, 0.5, 0))
    again = traffic.model.gains(Labels(*moved), every).residuals

    # The overall level moves by 0.5 / 40.
    assert again[3] - once[3] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", ["pairs", "feedback", "both"])
def test_it_finds_the_tasks_that_need_the_strong_model(kind: str) -> None:
    rng = np.random.default_rng(5)
    traffic = made_up_traffic(rng, 600)
    seen = np.arange(600) < 300
    pairs = seen & (rng.random(600) < 0.2) & (kind != "feedback")
    chosen = rng.random(600) < 0.5
    rated = seen & (kind != "pairs")
    labels = labels_of(traffic, pairs | (rated & chosen), pairs | (rated & ~chosen))

    fresh = traffic.model.gains(labels, np.arange(300, 600)).fresh

    gain = (traffic.strong - traffic.weak)[300:]
    assert np.corrcoef(fresh, gain)[0, 1] > 0.4


def test_a_kernel_in_blocks_equals_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = made_up_traffic(np.random.default_rng(6), 40).model.kernel
    rows, columns = np.array([3, 1]), np.array([0, 39, 5])
    whole = kernel(rows, columns)

    monkeypatch.setattr(prompt_kernel, "_MOST_CACHED_ROWS", 10)

    assert PromptKernel(kernel.vectors)(rows, columns) == pytest.approx(whole, abs=1e-6)


def test_prompts_of_one_domain_are_more_alike() -> None:
    vectors = made_up_traffic(np.random.default_rng(7), 3).model.kernel.vectors
    apart = PromptKernel(replace(vectors, domains=np.array([0, 1, 0])))
    first, others = np.array([0]), np.array([1, 2])

    difference = PromptKernel(vectors)(first, others) - apart(first, others)

    assert difference[0] == pytest.approx([apart.shape.domain, 0.0], abs=1e-6)


def test_with_too_many_labels_pairs_stay_and_old_feedback_goes() -> None:
    count = MOST_LABELS + 100
    rows = np.arange(count)
    labels = Labels(rows, rows % 2 == 0, np.zeros(count, dtype=np.float32))
    paired = rows < 10

    kept = newest(labels, paired).rows

    assert len(kept) == gain_model.MOST_LABELS
    assert set(range(10)) <= set(kept.tolist())
    assert kept[10] == 110
