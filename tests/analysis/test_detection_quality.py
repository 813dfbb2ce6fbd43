"""Accuracy, precision, recall and confusion of a domain detector."""

from experiments.analysis.routing.detection import detection_quality

TRUTH = ["legal", "legal", "legal", "medical", "general"]
FOUND = ["legal", "legal", "general", "medical", "legal"]


def test_shares_of_right_answers() -> None:
    quality = detection_quality(TRUTH, FOUND)
    assert quality.n == 5
    assert quality.accuracy == 0.6
    assert quality.precision == {"general": 0.0, "legal": 2 / 3, "medical": 1.0}
    assert quality.recall == {"general": 0.0, "legal": 2 / 3, "medical": 1.0}


def test_confusion_counts_prompts_by_truth_and_finding() -> None:
    assert detection_quality(TRUTH, FOUND).confusion == {
        "general": {"general": 0, "legal": 1, "medical": 0},
        "legal": {"general": 1, "legal": 2, "medical": 0},
        "medical": {"general": 0, "legal": 0, "medical": 1},
    }


def test_domain_never_found_has_no_precision() -> None:
    quality = detection_quality(["legal"], ["general"])
    assert quality.precision["legal"] is None
    assert quality.recall["general"] is None


def test_no_prompts() -> None:
    quality = detection_quality([], [])
    assert (quality.n, quality.accuracy, quality.confusion) == (0, None, {})
