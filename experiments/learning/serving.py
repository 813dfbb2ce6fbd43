"""Which router serves a domain: changes, proposals, and undoing them. Each change is a revision."""

from datetime import datetime
from typing import NamedTuple

from experiments.configuration.revisions import Author, revision
from experiments.core.policy import MASTER_FLAG
from experiments.models import (
    Domain,
    Experiment,
    LearningRound,
    Rollout,
    Router,
    RoutingSettings,
    ServingChange,
)
from experiments.models.routers import LEARNED
from experiments.rollouts.lifecycle import ENDED
from experiments.storage.transactions import retried

AUTHOR = "learning"
SHIPPED = "local"
State = ServingChange.ChangeState
RUNNING = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)


class ServingError(Exception):
    """A change of the serving router that is not possible. The message says what to do."""


class RouterChoice(NamedTuple):
    """A router with the threshold that is used while there is no threshold table."""

    router: str
    threshold: float | None
    checkpoint: str = ""


def is_learned(domain: Domain) -> bool:
    return domain.router is not None and domain.router.kind == LEARNED


def present(domain: Domain) -> RouterChoice:
    if domain.router is None:
        return RouterChoice("", domain.threshold)
    return RouterChoice(domain.router.name, domain.threshold, domain.router.checkpoint)


def comparator(domain: Domain) -> RouterChoice:
    """The router that the learned one is compared with, and that serves again if it is worse: the
    domain's own or, while a learned one serves, the one before."""
    if not is_learned(domain):
        return present(domain)
    changes = ServingChange.objects.filter(domain=domain.name, state=State.APPLIED)
    learned = Router.objects.filter(kind=LEARNED).values_list("name", flat=True)
    for change in changes:
        before = change.router_before
        if before not in learned and Router.objects.filter(name=before).exists():
            return RouterChoice(before, change.threshold_before)
    return RouterChoice(SHIPPED, None)


def blocked_by(domain: Domain) -> str:
    """Why the router of the domain cannot change now; "" if it can."""
    running = Experiment.objects.filter(status__in=RUNNING)
    for experiment in running.select_related("domain"):
        if experiment.domain is None or experiment.domain.pk == domain.pk:
            return f"Waits until experiment {experiment.key} ends."
    rollouts = Rollout.objects.exclude(state__in=(*ENDED, Rollout.State.PENDING))
    for rollout in rollouts.select_related("flag"):
        if rollout.flag.key == MASTER_FLAG or rollout.flag.domain_id == domain.pk:
            return f"Waits until the rollout of {rollout.flag.key} ends."
    return ""


def change(
    domain: Domain,
    to: RouterChoice,
    author: Author,
    now: datetime,
    reason: str,
    of_round: LearningRound | None = None,
) -> ServingChange:
    """The domain's prompts are scored by another router from now on, as a revision.

    Raises LockedError, ServingError.
    """
    router = Router.objects.filter(name=to.router, enabled=True).first()
    if router is None:
        raise ServingError(f"The router {to.router} is gone or disabled. Choose one in the admin.")
    before = present(domain)
    with revision(author, f"{domain.name} is served by {to.router}: {reason}"[:500]) as published:
        domain.router = router
        if to.threshold is not None:
            domain.threshold = to.threshold
        domain.full_clean()
        domain.save()
        row = ServingChange.objects.create(
            domain=domain.name,
            at=now,
            by=author if isinstance(author, str) else author.get_username(),
            state=State.APPLIED,
            router_before=before.router,
            threshold_before=before.threshold,
            router_after=router.name,
            threshold_after=domain.threshold,
            checkpoint=router.checkpoint,
            reason=reason[:300],
            round=of_round,
        )
    if published.revision is not None:
        ServingChange.objects.filter(pk=row.pk).update(revision=published.revision.number)
    return row


def propose(
    domain: Domain, to: RouterChoice, now: datetime, reason: str, of_round: LearningRound | None
) -> ServingChange:
    """Asks an operator. A newer proposal replaces an open one."""
    before = present(domain)
    withdraw(domain.name)
    return ServingChange.objects.create(
        domain=domain.name,
        at=now,
        by=AUTHOR,
        state=State.PROPOSED,
        router_before=before.router,
        threshold_before=before.threshold,
        router_after=to.router,
        threshold_after=to.threshold,
        checkpoint=to.checkpoint,
        reason=reason[:300],
        round=of_round,
    )


def withdraw(domain: str) -> int:
    """An open proposal no longer holds."""
    open_ = ServingChange.objects.filter(domain=domain, state=State.PROPOSED)
    return open_.update(state=State.WITHDRAWN)


def proposal(domain: str) -> ServingChange | None:
    return ServingChange.objects.filter(domain=domain, state=State.PROPOSED).first()


@retried
def approve(domain: Domain, author: Author, now: datetime) -> ServingChange:
    """Serves the proposed router. Raises LockedError, ServingError."""
    open_ = proposal(domain.name)
    if open_ is None:
        raise ServingError("There is no proposal any more. The next round may make a new one.")
    if blocked := blocked_by(domain):
        raise ServingError(blocked)
    to = RouterChoice(open_.router_after, open_.threshold_after, open_.checkpoint)
    row = change(domain, to, author, now, open_.reason, open_.round)
    open_.state = State.WITHDRAWN
    open_.save(update_fields=["state"])
    return row


@retried
def decline(domain: Domain) -> None:
    """The proposal is refused. A newer checkpoint may be proposed later."""
    ServingChange.objects.filter(domain=domain.name, state=State.PROPOSED).update(
        state=State.DECLINED
    )


@retried
def undo(domain: Domain, author: Author, now: datetime) -> ServingChange:
    """The router before the last change serves again, and later changes wait for approval.

    Raises LockedError, ServingError.
    """
    last = ServingChange.objects.filter(domain=domain.name, state=State.APPLIED).first()
    if last is None or present(domain).router != last.router_after:
        raise ServingError("There is no change of the serving router to undo.")
    back = RouterChoice(last.router_before, last.threshold_before)
    if not Router.objects.filter(name=back.router).exists():
        back = comparator(domain)
    domain.learning_mode = Domain.LearningMode.APPROVAL
    return change(domain, back, author, now, f"Undid: {last.reason}")


def budget_dollars() -> str:
    return f"{RoutingSettings.objects.get(pk=1).shadow_budget.normalize():f}"
