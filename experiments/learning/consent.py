"""Switching learning on and off. Both are revisions; nothing learns until an operator agrees."""

from collections.abc import Iterable
from decimal import Decimal

from experiments.configuration.revisions import Author, revision
from experiments.core.domains import CAREFUL
from experiments.core.shadowing import PAIR_SHARE
from experiments.formatting import exact_dollars, share
from experiments.models import Domain, Flag, RoutingSettings
from experiments.models.flags import HUNDRED
from experiments.storage.transactions import retried

FLAG = "routellm_learning"


def costs(budget: Decimal) -> str:
    """What an operator agrees to."""
    return (
        f"{share(PAIR_SHARE)} of prompts are also answered by the other model, at most "
        f"{exact_dollars(budget)} a day; texts stay encrypted and are deleted after judging."
    )


def budget_of(domain: Domain | None = None) -> Decimal:
    """The daily budget in dollars that limits a domain, or all domains."""
    overall: Decimal = RoutingSettings.objects.get(pk=1).shadow_budget
    if domain is None or domain.learning_budget is None:
        return overall
    return min(overall, domain.learning_budget)


@retried
def switch_on(name: str, author: Author) -> None:
    """One domain learns from now on."""
    with revision(author, f"Learning in {name}: on"):
        row = Domain.objects.get(name=name)
        row.learning = True
        row.full_clean()
        row.save()
        _set_flag(HUNDRED)


@retried
def switch_off(name: str, author: Author) -> None:
    """The domain draws no more pairs and starts no more rounds. What serves goes on serving."""
    with revision(author, f"Learning in {name}: off"):
        row = Domain.objects.get(name=name)
        row.learning = False
        row.save()


@retried
def switch_on_all(author: Author) -> list[str]:
    """All domains learn, except those in which a wrong answer does most harm: these are switched on
    one by one. Returns their names."""
    with revision(author, "Learning: on"):
        rows = list(Domain.objects.exclude(name__in=CAREFUL))
        _save_learning(rows, on=True)
        _set_flag(HUNDRED)
    return [row.name for row in rows]


def _save_learning(rows: Iterable[Domain], *, on: bool) -> None:
    for row in rows:
        if row.learning != on:
            row.learning = on
            row.save()


def _set_flag(percentage: Decimal) -> None:
    flag = Flag.objects.get(key=FLAG)
    if flag.percentage != percentage:
        flag.percentage = percentage
        flag.save()


@retried
def set_method(name: str, method: str, author: Author) -> None:
    """Sends all prompts of a domain to one model of its pair. Raises LockedError."""
    with revision(author, f"{name}: {method.replace('_', ' ')}, as learning suggests"):
        row = Domain.objects.get(name=name)
        row.method = method
        row.full_clean()
        row.save()
