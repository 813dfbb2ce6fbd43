"""The simulations follow `paired_effect` exactly, and the recorded tables read their files."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import paired, paired_recorded
from benchmarks.paired_paths import THRESHOLD, Stream, Traffic, lower_passes, ranks, upper_passes
from benchmarks.paired_worlds import WORLDS, World, drifting, units
from experiments.analysis.paired import paired_effect

LOOKS = (1, 2, 3, 4, 7, 19, 20, 21, 60, 150, 400)


def said(stream: Stream, traffic: Traffic, margin: float, looks: int) -> tuple[bool, bool]:
    found = paired_effect(
        stream.labels(looks),
        decisions=traffic.decisions,
        disagreements=traffic.disagreements,
        margin=0.03,
        floor=stream.floor,
        pairs_per_unit=stream.pairs_per_unit,
    )
    return found.lower > margin, found.upper < margin


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("effect", [-0.03, 0.01])
def test_looks_of_a_path_are_those_of_paired_effect(world: World, effect: float) -> None:
    """Each bound passes a value for the first time at the same look, wherever that is."""
    rng = np.random.default_rng(4)
    traffic = Traffic(10_000, 3_100)
    stream = world.draw(rng, 0.1)
    lower = lower_passes(stream, traffic, effect)
    upper = upper_passes(stream, traffic, effect)
    for looks in LOOKS:
        above, below = said(stream, traffic, effect, looks)
        assert not above or (lower is not None and lower <= looks)
        assert not below or (upper is not None and upper <= looks)
    if lower is not None:
        assert said(stream, traffic, effect, lower)[0]
        assert lower == 1 or not said(stream, traffic, effect, lower - 1)[0]


def test_a_drifting_share_is_followed_as_paired_effect_does() -> None:
    shares = drifting(np.random.default_rng(2), -0.05)
    wealth = paired._drift_wealth(shares, 1.0)
    first = int((wealth >= THRESHOLD).argmax())
    assert 5 < first < 400
    for at, expected in ((first - 1, "undecided"), (first, "non_inferior")):
        d = shares.difference[: at + 1]
        stream = Stream(d, np.arange(d.size), np.full(d.size, 1 / 3), np.ones(d.size))
        found = paired_effect(
            stream.labels(d.size),
            decisions=int(shares.decisions[at]),
            disagreements=int(shares.disagreements[at]),
            margin=0.03,
            floor=1 / 3,
            pairs_per_unit=1,
        )
        assert found.verdict == expected


def test_ranks_count_the_earlier_pairs_of_a_unit() -> None:
    assert ranks(np.array([4, 1, 4, 4, 1, 0])).tolist() == [0, 0, 1, 2, 1, 0]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_worlds_have_the_mean_they_claim(world: World) -> None:
    rng = np.random.default_rng(7)
    streams = [world.draw(rng, -0.1) for _ in range(60)]
    weights = np.concatenate([1 / (s.odds * s.asked) for s in streams])
    values = np.concatenate([s.difference for s in streams])
    known = ~np.isnan(values)
    mean = np.average(values[known], weights=weights[known])
    assert mean == pytest.approx(-0.1, abs=0.02)


def test_ignoring_units_is_wrong_far_more_often() -> None:
    rng, traffic = np.random.default_rng(3), Traffic(10_000, 3_000)

    def wrong(ignored: bool) -> int:
        draw = units(interleaved=False, ignored=ignored)
        return sum(lower_passes(draw(rng, -0.1), traffic, -0.03) is not None for _ in range(60))

    assert wrong(ignored=False) <= 6
    assert wrong(ignored=True) > wrong(ignored=False)


def test_tables_have_a_row_for_each_world() -> None:
    rows = list(paired.wrong_verdicts(np.random.default_rng(1), 2))
    assert len(rows) == 1 + len(WORLDS) + 3
    assert len(list(paired.labels(np.random.default_rng(1), 2))) == 1 + len(paired._PLANS)
    assert len(list(paired.coverage(np.random.default_rng(1), 2))) > len(WORLDS)


def test_recorded_outcomes_need_fewer_labels_where_the_policies_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(6)
    skill = np.array([0.9, 0.7, 0.5])
    outcomes = (rng.random((400, 3)) < skill).astype(int)
    (tmp_path / "LLMRouter").mkdir()
    lines = ["prompt,a,b,c", *(f'"p {i}",{a},{b},{c}' for i, (a, b, c) in enumerate(outcomes))]
    (tmp_path / "LLMRouter" / "scores.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "PandaLM").mkdir()
    pairs = [
        {"people": [2, 2, 0], "judges": {"gpt-3.5-turbo": "2", "pandalm-7b": 2}},
        {"people": [1, 0, 1], "judges": {"gpt-3.5-turbo": "1", "pandalm-7b": 0}},
    ]
    (tmp_path / "PandaLM" / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n")

    name, models, scores = next(paired_recorded.recorded(tmp_path))
    assert (name, models, scores.shape) == ("LLMRouter", ["a", "b", "c"], (400, 3))
    pair = next(iter(paired_recorded.policy_pairs(name, models, scores, rng)))
    assert pair.moved.mean() == pytest.approx(0.1, abs=0.01)
    assert ((pair.new == pair.old) | pair.moved).all()

    paired.print_recorded(tmp_path, np.random.default_rng(1), 3)
    printed = capsys.readouterr().out
    assert "| LLMRouter |" in printed
    assert "| pandalm-7b | 20% |" in printed
