"""Drafts an experiment that compares a trained router with today's policy."""

from typing import Any

from django.utils.text import slugify

from experiments.configuration.document import policy_document
from experiments.configuration.revisions import Author
from experiments.core.policy import Method
from experiments.experimentation.edits import create
from experiments.lab.training import manifest_of
from experiments.models import Domain, Experiment, Router
from experiments.routers.local import OVERALL

MARGIN = 0.02


def draft_trial(router: Router, domain: Domain, author: Author) -> Experiment:
    """The control is the domain's current policy. The treatment is the same pair with the new
    router, at the threshold that sends half of its training prompts to the strong model.

    Raises ValidationError, LifecycleError.
    """
    key = _free_key(f"{router.name}-in-{domain.name}")
    return create(key, _values(router, domain), author)


def threshold_of(router: Router, domain: str) -> float:
    """The median of the checkpoint's held-out scores; .5 if it has none."""
    manifest = manifest_of(router)
    known = manifest.thresholds if manifest else {}
    return float(known.get(domain, known.get(OVERALL, 0.5)))


def _values(router: Router, domain: Domain) -> dict[str, Any]:
    today = policy_document(domain)
    treatment = {
        **today,
        "method": str(Method.ROUTELLM),
        "router": router.name,
        "threshold": threshold_of(router, domain.name),
    }
    return {
        "hypothesis": f"In {domain.name}, router {router.name} costs less than today's policy and "
        "is no worse.",
        "domain": domain.name,
        "arms": [
            {"name": "today", "weight": 0.5, "is_control": True, "policy": today},
            {"name": router.name, "weight": 0.5, "is_control": False, "policy": treatment},
        ],
        "metrics": [
            {"metric": "cost", "role": "primary", "margin": None},
            {"metric": "quality", "role": "guardrail", "margin": MARGIN},
        ],
    }


def _free_key(wanted: str) -> str:
    base = slugify(wanted.replace("_", "-"))[:70]
    key, number = base, 1
    while Experiment.objects.filter(key=key).exists():
        number += 1
        key = f"{base}-{number}"
    return key
