"""What operators do with results of the lab: experiment, explore, apply a threshold, roll it out.

No result goes live automatically: an operator takes each step, and each is a revision.
"""

from itertools import chain, count

from django.db import transaction
from django.utils.text import slugify

from experiments.configuration.document import policy_document
from experiments.configuration.revisions import Author, lock_configuration, revision
from experiments.core.policy import Method
from experiments.experimentation.edits import create
from experiments.formatting import percentage
from experiments.lab.candidates import CandidatePolicy
from experiments.lab.training import manifest_of
from experiments.models import Calibration, Domain, Experiment, Flag, Rollout, Router
from experiments.models.domains import TargetKind
from experiments.rollouts import lifecycle
from experiments.routers.local import OVERALL
from experiments.storage.transactions import retried

MARGIN = 0.02
STEPS = ((1, 24), (10, 24), (50, 48), (100, 0))


class LabError(Exception):
    """A step that is not possible. The message says what to do."""

    def __init__(self, message: str) -> None:
        self.problems = [message]
        super().__init__(message)


def draft_trial(router: Router, domain: Domain, author: Author) -> Experiment:
    """A draft that compares a trained router with the domain's policy, at the threshold that sends
    half of its held-out training prompts to the strong model.

    Raises ValidationError, LifecycleError.
    """
    manifest = manifest_of(router)
    known = manifest.thresholds if manifest else {}
    threshold = float(known.get(domain.name, known.get(OVERALL, 0.5)))
    candidate = CandidatePolicy(router=router.name, threshold=threshold, domain=domain.name)
    return draft_experiment(candidate, author, key=f"{router.name}-in-{domain.name}")


def draft_experiment(candidate: CandidatePolicy, author: Author, key: str = "") -> Experiment:
    """A draft with the domain's policy as control and the candidate as treatment. `key` gets a
    number if it is taken; the default is `DOMAIN-what-if`.

    Raises LabError without a domain, ValidationError for unknown models or routers.
    """
    domain = _domain(candidate.domain)
    control = policy_document(domain)
    treatment = {
        **{name: value for name, value in control.items() if name != "target_share"},
        "method": str(candidate.method),
        "router": candidate.router or control["router"],
        "threshold": candidate.threshold,
        "strong": candidate.strong or control["strong"],
        "weak": candidate.weak or control["weak"],
    }
    if candidate.method is not Method.ROUTELLM:
        treatment |= {"router": None, "threshold": None, "epsilon": 0.0}
    values = {
        "hypothesis": f"In {domain} it costs less and answers are no worse.",
        "domain": domain.name,
        "arms": [
            {"name": "control", "weight": 0.5, "is_control": True, "policy": control},
            {"name": "candidate", "weight": 0.5, "is_control": False, "policy": treatment},
        ],
        "metrics": [
            {"metric": "cost", "role": "primary", "margin": None},
            {"metric": "quality", "role": "guardrail", "margin": MARGIN},
        ],
    }
    with transaction.atomic():
        lock_configuration()
        return create(_free_key(key or f"{domain.name}-what-if"), values, author)


@retried
def explore(domain_name: str, rate: float, author: Author) -> None:
    """Sends this share of the domain's prompts to the other model of its pair, from now on.

    Raises LabError, and LockedError while an experiment uses the domain.
    """
    if not 0.0 < rate <= 0.5:
        raise LabError(f"The exploration rate must be above 0 and at most 0.5; got {rate}.")
    domain = _domain(domain_name)
    with revision(author, f"Explore {percentage(100 * rate)} of {domain_name}"):
        domain.refresh_from_db()
        domain.epsilon = rate
        domain.save()


@retried
def apply_threshold(found: Calibration, author: Author) -> None:
    """Sets the domain's threshold to the calibrated one, which is also the reference for drift.

    Raises LabError, LockedError.
    """
    domain = _domain(found.domain)
    with revision(author, f"Calibrated {found.domain} to {found.threshold:.4g}"):
        _write(domain, found)
        found.save()


@retried
def roll_out(found: Calibration, author: Author) -> Rollout:
    """Sets the domain's threshold to the calibrated one and plans a guarded rollout of its flag.

    Raises LabError if the flag is already on for everybody, LockedError, RolloutError.
    """
    domain = _domain(found.domain)
    flag = Flag.objects.get(domain=domain)
    if flag.percentage >= STEPS[-1][0]:
        raise LabError(
            f"{flag} is on for everybody, so a guarded rollout has no control units. Use the "
            "threshold in an arm of an experiment instead."
        )
    steps = [list(step) for step in STEPS if step[0] > flag.percentage]
    with revision(author, f"Calibrated {found.domain} to {found.threshold:.4g}, to be rolled out"):
        _write(domain, found)
        found.save()
        return lifecycle.add_plan({"flag": flag, "steps": steps})


def candidate_of(found: Calibration) -> CandidatePolicy:
    return CandidatePolicy(router=found.router, threshold=found.threshold, domain=found.domain)


def _write(domain: Domain, found: Calibration) -> None:
    domain.refresh_from_db()
    domain.method = Method.ROUTELLM
    domain.router = Router.objects.get(name=found.router)
    domain.threshold = found.threshold
    domain.calibrated_threshold = found.threshold
    _aim_at(domain, found)
    domain.save()


def _aim_at(domain: Domain, found: Calibration) -> None:
    """The calibration's aim becomes the domain's target, which the domain follows if it did."""
    if found.aim == Calibration.Aim.SHARE:
        domain.target_kind = TargetKind.STRONG_SHARE
        domain.target_strong_share = found.wanted
    else:
        is_budget = found.aim == Calibration.Aim.BUDGET
        domain.target_kind = TargetKind.DOLLARS if is_budget else TargetKind.QUALITY
        domain.target_value = found.wanted
        domain.resolved_share = found.strong_share if is_budget else None


def _domain(name: str) -> Domain:
    domain = Domain.objects.filter(name=name).first()
    if domain is None:
        raise LabError("Choose a domain first: each step applies to one domain.")
    return domain


def _free_key(wanted: str) -> str:
    stem = slugify(wanted.replace("_", "-"))[:70]
    taken = set(Experiment.objects.filter(key__startswith=stem).values_list("key", flat=True))
    numbered = (f"{stem}-{number}" for number in count(2))
    return next(key for key in chain([stem], numbered) if key not in taken)
