"""Features of an answer, and the model that combines them."""

import numpy as np
import pytest

from experiments.verifiers.features import GROUPS, NAMES, AnswerSample, features, matrix
from experiments.verifiers.model import fit, router_prior


def named(sample: AnswerSample) -> dict[str, float]:
    return dict(zip(NAMES, features(sample).tolist(), strict=True))


@pytest.mark.parametrize("text", ["", " ", "a", "\x00", "9" * 30_000, "{" * 5_000, "ü€" * 9_000])
def test_any_text_gives_finite_numbers(text: str) -> None:
    found = features(AnswerSample(text, text, text, -1.0, 0.5, 0.5))

    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()


def test_every_feature_belongs_to_one_verifier() -> None:
    assert len(set(NAMES)) == len(NAMES) == sum(map(len, GROUPS.values()))


def test_agreement() -> None:
    same = named(AnswerSample("2 + 2?", "#### 4", "The answer is 4"))
    other = named(AnswerSample("2 + 2?", "#### 4", "The answer is 5"))
    alone = named(AnswerSample("2 + 2?", "#### 4"))

    assert (same["second_known"], same["agrees"], same["agrees_number"]) == (1, 1, 1)
    assert (other["second_known"], other["agrees"], other["agrees_number"]) == (1, -1, 0)
    assert (alone["second_known"], alone["agrees"]) == (0, 0)
    assert same["nearness"] == 1.0 > other["nearness"] > 0


def test_wrong_arithmetic_is_seen() -> None:
    found = named(AnswerSample("?", "3 * 4 = 13\n#### 13"))

    assert found["equation_wrong"] == 1.0
    assert found["ends_in_final"] == 1.0


def samples(n: int, seed: int = 0) -> tuple[list[AnswerSample], np.ndarray, np.ndarray]:
    """The weak answer is right where a second one agrees, in nine of ten cases."""
    rng = np.random.default_rng(seed)
    agrees = rng.random(n) < 0.5
    right = np.where(rng.random(n) < 0.9, agrees, ~agrees).astype(float)
    made = [
        AnswerSample(f"Question {row}?", f"#### {row}", f"#### {row if same else row + 1}")
        for row, same in enumerate(agrees.tolist())
    ]
    return made, right, np.ones(n)


def test_learns_what_makes_an_answer_right() -> None:
    train, right, strong = samples(200)
    verifier = fit(matrix(train), right, strong)
    seen, found, _ = samples(200, seed=1)
    score = verifier.score(matrix(seen))

    assert ((score >= 0) & (score <= 1)).all()
    assert score[found == 1].mean() > score[found == 0].mean() + 0.1
    assert (verifier.contributions(features(seen[0]))["agreement"] > 0) == (
        seen[0].second == seen[0].answer
    )


def test_a_verifier_that_takes_no_part_has_no_weight() -> None:
    train, right, strong = samples(100)
    verifier = fit(matrix(train), right, strong, groups=["checks", "router"])
    places = [NAMES.index(name) for name in GROUPS["agreement"]]

    assert not verifier.weights[:, places].any()
    with pytest.raises(ValueError, match="Unknown verifier 'magic'"):
        fit(matrix(train), right, strong, groups=["magic"])


def test_without_pairs_the_prompt_router_decides() -> None:
    nothing = np.zeros((0, len(NAMES)))
    verifier = fit(nothing, np.zeros(0), np.zeros(0))
    easy, hard = (features(AnswerSample("?", "yes", router=score)) for score in (0.2, 0.8))

    assert verifier.score(easy[None])[0] == pytest.approx(0.667, abs=0.001)
    assert verifier.score(hard[None])[0] == pytest.approx(0.333, abs=0.001)
    assert (verifier.weights == router_prior().weights).all()


def test_few_pairs_stay_near_the_prior() -> None:
    train, right, strong = samples(400)
    seen = matrix(train)
    few, many = (
        fit(seen[:n], right[:n], strong[:n]).weights[0, NAMES.index("agrees")] for n in (10, 400)
    )

    assert 0 < abs(few) < abs(many)
