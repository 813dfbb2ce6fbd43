"""Thresholds from recent scores that keep a domain at its target strong share."""

from typing import NamedTuple

from experiments.analysis.routing.measures import threshold_for_share
from experiments.configuration.revisions import revision
from experiments.formatting import exact_share
from experiments.models import Decision, Domain
from experiments.storage.transactions import retried

RECENT = 5_000
ENOUGH = 200


class ShareCalibration(NamedTuple):
    """One domain's result. `threshold` is None if there are too few scores."""

    domain: str
    scores: int
    threshold: float | None
    strong_share: float | None

    def __str__(self) -> str:
        if self.threshold is None:
            return f"{self.domain}: too few scores, {self.scores} of {ENOUGH}"
        share = exact_share(self.strong_share or 0.0)
        return (
            f"{self.domain}: threshold {self.threshold:.4f} sends {share} of "
            f"{self.scores} recent prompts to the strong model"
        )


@retried
def calibrate(*, save: bool) -> list[ShareCalibration]:
    """For each domain with a router: the threshold of its target share, from its newest scores.

    Saved thresholds are used while `routellm_dynamic_threshold` is on.
    """
    results = []
    with revision("calibration", "Thresholds calibrated on recent scores"):
        for domain in Domain.objects.select_related("router").exclude(router=None):
            result = _calibrate(domain)
            results.append(result)
            if save and result.threshold is not None:
                domain.calibrated_threshold = result.threshold
                domain.save(update_fields=["calibrated_threshold", "version", "updated_at"])
    return results


def _calibrate(domain: Domain) -> ShareCalibration:
    """Uses every logged score, including those of units that were not routed."""
    router = domain.router.name if domain.router else ""
    newest = Decision.objects.filter(domain=domain.name).order_by("-created_at")[:RECENT]
    details = newest.values_list("detail", flat=True)
    answers = (detail["scores"].get(router, {}) for detail in details)
    scores = [answer["value"] for answer in answers if "value" in answer]
    if len(scores) < ENOUGH:
        return ShareCalibration(domain.name, len(scores), None, None)
    found = threshold_for_share(scores, domain.target_strong_share)
    return ShareCalibration(domain.name, len(scores), found.threshold, found.realised_share)
