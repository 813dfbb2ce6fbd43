"""What a finding of the lab is turned into: an experiment, exploration, a threshold, a rollout.

Nothing found there goes live by itself: each of these is a step somebody takes, and a revision.
"""

from django.db import transaction

from experiments.configuration.document import policy_document
from experiments.configuration.revisions import Author, lock_configuration, revision
from experiments.core.policy import Method
from experiments.experimentation.edits import create
from experiments.lab.candidates import Candidate
from experiments.models import Calibration, Domain, Experiment, Flag, Rollout, Router
from experiments.rollouts import lifecycle
from experiments.storage.transactions import retried

MARGIN = 0.05
STEPS = ((1, 24), (10, 24), (50, 48), (100, 0))


class LabError(Exception):
    """A step that cannot be taken, with what to do."""

    def __init__(self, message: str) -> None:
        self.problems = [message]
        super().__init__(message)


def draft_experiment(candidate: Candidate, author: Author) -> Experiment:
    """A draft with the domain as it is for control and the candidate for treatment.

    Raises LabError without a domain, ValidationError for models or routers there are not.
    """
    domain = _domain(candidate.domain)
    control = policy_document(domain)
    treatment = {
        **control,
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
        return create(_free_key(domain.name), values, author)


@retried
def explore(domain_name: str, rate: float, author: Author) -> None:
    """Sends this share of the domain's prompts to the other model of its pair, from now on.

    Raises LabError, and LockedError while an experiment stands on the domain.
    """
    if not 0.0 < rate <= 0.5:
        raise LabError(f"An exploration rate of {rate} makes no sense. Give one up to 0.5.")
    domain = _domain(domain_name)
    with revision(author, f"Explore {100 * rate:g} % of {domain_name}"):
        domain.refresh_from_db()
        domain.epsilon = rate
        domain.save()


@retried
def apply_threshold(found: Calibration, author: Author) -> None:
    """The calibrated threshold becomes the domain's own, and is what drift is measured against.

    Raises LabError, LockedError.
    """
    domain = _domain(found.domain)
    with revision(author, f"Calibrated {found.domain} to {found.threshold:.4g}"):
        _write(domain, found)
        found.save()


@retried
def roll_out(found: Calibration, author: Author) -> Rollout:
    """The calibrated threshold becomes the domain's, and a guarded rollout of its flag is planned.

    Raises LabError where everybody has the flag already, LockedError, RolloutError.
    """
    domain = _domain(found.domain)
    flag = Flag.objects.get(domain=domain)
    if flag.percentage >= STEPS[-1][0]:
        raise LabError(
            f"{flag} is on for everybody, so a guarded rollout has nobody to compare with. Make "
            "the threshold an arm of an experiment instead."
        )
    steps = [list(step) for step in STEPS if step[0] > flag.percentage]
    with revision(author, f"Calibrated {found.domain} to {found.threshold:.4g}, to be rolled out"):
        _write(domain, found)
        found.save()
        return lifecycle.add_plan({"flag": flag, "steps": steps})


def candidate_of(found: Calibration) -> Candidate:
    return Candidate(router=found.router, threshold=found.threshold, domain=found.domain)


def _write(domain: Domain, found: Calibration) -> None:
    domain.refresh_from_db()
    domain.method = Method.ROUTELLM
    domain.router = Router.objects.get(name=found.router)
    domain.threshold = found.threshold
    domain.calibrated_threshold = found.threshold
    domain.save()


def _domain(name: str) -> Domain:
    domain = Domain.objects.filter(name=name).first()
    if domain is None:
        raise LabError("Choose one domain first: a step is taken for one domain.")
    return domain


def _free_key(domain: str) -> str:
    stem = f"{domain.replace('_', '-')}-what-if"
    taken = set(Experiment.objects.filter(key__startswith=stem).values_list("key", flat=True))
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"
