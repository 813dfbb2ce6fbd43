"""How well a domain detector does: accuracy, precision and recall by domain, and who is taken for
whom."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class DetectionQuality(NamedTuple):
    """``confusion[truth][found]`` counts prompts. A ratio without a denominator is None."""

    n: int
    accuracy: float | None
    precision: dict[str, float | None]
    recall: dict[str, float | None]
    confusion: dict[str, dict[str, int]]


def detection_quality(truth: Sequence[str], found: Sequence[str]) -> DetectionQuality:
    """Compare true domains with found ones, in the same order. Any name may occur in either."""
    names = sorted({*truth, *found})
    pairs = Counter(zip(truth, found, strict=True))
    confusion = {name: {other: pairs[name, other] for other in names} for name in names}
    right = sum(pairs[name, name] for name in names)
    given, true = Counter(found), Counter(truth)
    return DetectionQuality(
        n=len(truth),
        accuracy=_share(right, len(truth)),
        precision={name: _share(pairs[name, name], given[name]) for name in names},
        recall={name: _share(pairs[name, name], true[name]) for name in names},
        confusion=confusion,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
