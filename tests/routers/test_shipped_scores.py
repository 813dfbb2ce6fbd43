"""What the shipped checkpoints give for some prompts. Faster code must not change it."""

from typing import NamedTuple

import pytest

from experiments.routers.detector import LearnedDetector
from experiments.routers.features import featurise
from experiments.routers.local import LocalRouter
from experiments.routers.local_mf import LocalMFRouter


class Found(NamedTuple):
    local: float
    local_mf: float
    domain: str
    confidence: float


PROMPTS = {
    "": Found(0.749821454, 0.5, "general", 0.7163679),
    "Hello.": Found(0.647976823, 0.50868913, "general", 0.7059664),
    "Write a haiku about the sea.": Found(0.699383096, 0.52314984, "creative", 0.9999849),
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May. "
    "How many clips did she sell altogether?": Found(
        0.880236877, 0.597955492, "scientific", 0.9973319
    ),
    "Which of these is NOT a symptom of anemia?\nA. fatigue\nB. pallor\nC. fever of 40 degrees\n"
    "D. shortness of breath\nAnswer:": Found(0.696772437, 0.53688429, "medical", 0.9810189),
    "```python\ndef f(x):\n    return x ** 2\n```\nWhy does f('a') raise a TypeError?": Found(
        0.905765526, 0.58068326, "technical", 0.8571045
    ),
    "¿Cómo puedo rescindir un contrato de alquiler antes de tiempo?": Found(
        0.814715731, 0.505356373, "legal", 0.8031984
    ),
    "请解释一下什么是复利。": Found(0.749821454, 0.495417975, "financial", 0.8048623),
    "Explain the holding of Marbury v. Madison (1803) in two sentences. " * 40: Found(
        0.717838381, 0.536464211, "general", 0.9246154
    ),
    "x" * 9000: Found(0.749821454, 0.5, "general", 0.5950619),
}


@pytest.fixture(scope="module")
def routers() -> tuple[LocalRouter, LocalMFRouter, LearnedDetector]:
    return LocalRouter.load(), LocalMFRouter.load(), LearnedDetector.load()


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS.items(), ids=range(len(PROMPTS)))
def test_scores_and_domains_stay(
    routers: tuple[LocalRouter, LocalMFRouter, LearnedDetector], prompt: str, expected: Found
) -> None:
    local, local_mf, detector = routers
    features = featurise(prompt)
    best = detector.candidates(features)[0]
    assert local.score(features) == pytest.approx(expected.local, abs=1e-6)
    assert local_mf.score(features) == pytest.approx(expected.local_mf, abs=1e-6)
    assert best.name == expected.domain
    assert best.confidence == pytest.approx(expected.confidence, abs=1e-5)
