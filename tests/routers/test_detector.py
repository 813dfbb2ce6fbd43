"""The learned domain detector, as shipped and with operators' domains and examples."""

import csv
import json
from pathlib import Path

import pytest

from experiments.analysis.routing.detection import detection_quality
from experiments.core.detection import Candidate
from experiments.routers.checkpoints import CheckpointError
from experiments.routers.detector import CHECKPOINT, LearnedDetector, example_prompts
from experiments.routers.features import featurise

DOMAINS = (
    *("creative", "educational", "financial", "general"),
    *("legal", "medical", "scientific", "technical"),
)
COOKING = (
    "How do I bake bread without yeast?",
    "What can I cook with lentils and spinach?",
    "Recipe for apple pie with a crumble topping",
    "How long does a roast chicken need in the oven?",
    "What can replace eggs in pancakes?",
)


@pytest.fixture(scope="module")
def shipped() -> LearnedDetector:
    return LearnedDetector.load()


def best(detector: LearnedDetector, text: str) -> str:
    return detector.candidates(featurise(text))[0].name


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Write a poem about the autumn wind.", "creative"),
        ("Make a lesson plan on the water cycle for second graders.", "educational"),
        ("How do I record depreciation of a delivery van?", "financial"),
        ("Who was the first emperor of Rome?", "general"),
        ("Can my landlord keep my deposit because of small scratches?", "legal"),
        ("My child has a fever and a rash, should I see a doctor?", "medical"),
        ("What is the derivative of sin(x) squared?", "scientific"),
        ("My docker container cannot connect to postgres", "technical"),
    ],
)
def test_finds_the_subject(shipped: LearnedDetector, text: str, domain: str) -> None:
    assert best(shipped, text) == domain


def test_candidates_are_probabilities_best_first(shipped: LearnedDetector) -> None:
    candidates = shipped.candidates(featurise("Is a verbal contract binding?"))
    confidences = [candidate.confidence for candidate in candidates]
    assert isinstance(candidates[0], Candidate)
    assert sorted(candidate.name for candidate in candidates) == list(DOMAINS)
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "text", ["", " \n", "\x00\x01\ufffd", "🎉🎉🎉", "مرحبا كيف حالك", "x" * 100_000]
)
def test_any_text_gets_an_answer(shipped: LearnedDetector, text: str) -> None:
    candidates = shipped.candidates(featurise(text))
    assert sum(candidate.confidence for candidate in candidates) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "accuracy", "recall_of_general"),
    [
        ("domain_prompts.csv", 0.86, 0.85),
        ("domain_prompts_fresh.csv", 0.78, 0.80),
        ("domain_prompts_chat.csv", 0.83, 0.80),
    ],
)
def test_own_test_sets_are_mostly_right(
    shipped: LearnedDetector, name: str, accuracy: float, recall_of_general: float
) -> None:
    path = Path(__file__).parents[1] / "data" / name
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = [best(shipped, row["text"]) for row in rows]
    quality = detection_quality([row["domain"] for row in rows], found)
    assert (quality.accuracy or 0) >= accuracy
    assert (quality.recall["general"] or 0) >= recall_of_general


def test_domain_left_out_becomes_general(shipped: LearnedDetector) -> None:
    text = "Can my landlord keep my deposit because of small scratches?"
    without = shipped.with_domains(tuple(d for d in DOMAINS if d != "legal"), {})
    assert "legal" not in [c.name for c in without.candidates(featurise(text))]
    assert best(without, text) == "general"


def test_general_is_there_even_when_not_named(shipped: LearnedDetector) -> None:
    only = shipped.with_domains(("legal",), {})
    assert best(only, "Who was the first emperor of Rome?") == "general"


def test_custom_domain_with_five_examples(shipped: LearnedDetector) -> None:
    detector = shipped.with_domains((*DOMAINS, "cooking"), {"cooking": COOKING})
    assert best(detector, "What should I cook tonight with leeks and potatoes?") == "cooking"
    assert best(detector, "Who was the first emperor of Rome?") == "general"
    assert best(detector, "Is a verbal contract binding?") == "legal"
    assert best(detector, "Write a poem about soup.") == "creative"


def test_custom_domain_without_examples_is_never_found(shipped: LearnedDetector) -> None:
    detector = shipped.with_domains((*DOMAINS, "cooking"), {"cooking": ()})
    names = [c.name for c in detector.candidates(featurise("How do I cook leeks?"))]
    assert "cooking" not in names


def test_examples_move_prompts_like_them(shipped: LearnedDetector) -> None:
    text = "How do I calibrate the Zorbatron before a shift?"
    examples = (
        "The Zorbatron shows error 14, what now?",
        "Which firmware does a Zorbatron need?",
        "Reset the Zorbatron to factory settings",
    )
    taught = shipped.with_domains(DOMAINS, {"technical": examples})
    assert best(taught, text) == "technical"
    assert _confidence(taught, text, "technical") > _confidence(shipped, text, "technical")


def test_examples_leave_other_prompts_alone(shipped: LearnedDetector) -> None:
    taught = shipped.with_domains(DOMAINS, {"technical": ("The Zorbatron shows error 14",)})
    for text in ("Is a verbal contract binding?", "Write a poem about the autumn wind."):
        assert best(taught, text) == best(shipped, text)


def test_shipped_examples_change_nothing(shipped: LearnedDetector) -> None:
    text = featurise("Is a verbal contract binding?")
    seeded = shipped.with_domains(DOMAINS, example_prompts())
    assert seeded.candidates(text) == shipped.candidates(text)


def test_identity_follows_domains_and_examples(shipped: LearnedDetector) -> None:
    base = shipped.with_domains(DOMAINS, {})
    assert len(base.identity) == 64
    assert shipped.with_domains(DOMAINS, {}).identity == base.identity
    assert shipped.with_domains(DOMAINS[:-1], {}).identity != base.identity
    assert shipped.with_domains(DOMAINS, {"legal": ("Is it legal?",)}).identity != base.identity


def test_same_examples_give_the_same_probabilities(shipped: LearnedDetector) -> None:
    text = featurise("What should I cook tonight?")
    first = shipped.with_domains((*DOMAINS, "cooking"), {"cooking": COOKING})
    second = shipped.with_domains((*DOMAINS, "cooking"), {"cooking": COOKING})
    assert first.candidates(text) == second.candidates(text)


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    for file in CHECKPOINT.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    with pytest.raises(CheckpointError, match=r"sha256 differs.*train_domains"):
        LearnedDetector.load(tmp_path)


def test_head_of_another_embedding_is_refused(tmp_path: Path) -> None:
    for file in CHECKPOINT.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "embedding_sha256": "0"}))
    with pytest.raises(CheckpointError, match="another embedding"):
        LearnedDetector.load(tmp_path)


def _confidence(detector: LearnedDetector, text: str, name: str) -> float:
    return dict(detector.candidates(featurise(text)))[name]
