"""Dry runs: routes a prompt and explains the decision without storing it."""

from typing import NamedTuple

from experiments.configuration.policy_store import NoPolicyError
from experiments.core.explanation import ExplanationStep
from experiments.core.selection import NoEligibleModelsError
from experiments.decisions import explanation
from experiments.models import Domain
from experiments.routing.route import (
    RouteRequest,
    StorageUnavailableError,
    UnknownNameError,
    route,
)


class Trial(NamedTuple):
    """One dry run. If it could not be routed, `stations` is empty and `sentence` has the reason."""

    title: str
    sentence: str
    stations: tuple[ExplanationStep, ...] = ()


def trials(domain: Domain, text: str) -> list[Trial]:
    """The prompt under the newest revision, with domain detection and as one of this domain."""
    return [
        _trial("With domain detection", RouteRequest(text, dry_run=True)),
        _trial(f"As a prompt of {domain}", RouteRequest(text, domain=domain.name, dry_run=True)),
    ]


def _trial(title: str, request: RouteRequest) -> Trial:
    try:
        row = route(request)
    except (
        NoEligibleModelsError,
        NoPolicyError,
        StorageUnavailableError,
        UnknownNameError,
    ) as error:
        return Trial(title, str(error))
    return Trial(title, explanation.summary(row), explanation.steps(row))
