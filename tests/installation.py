"""A seeded installation, made once and then restored from memory: seeding takes a second."""

import pickle

from django.db import models

from experiments.configuration.roles import seed_roles
from experiments.configuration.seeding import seed
from experiments.models import (
    Domain,
    DomainExample,
    Flag,
    LanguageModel,
    ModelPrice,
    ParameterRule,
    PolicyRevision,
    ProviderEndpoint,
    Router,
    RoutingSettings,
)
from experiments.models import Metric as MetricRow

# In the order they refer to each other.
SEEDED: tuple[type[models.Model], ...] = (
    ProviderEndpoint,
    ParameterRule,
    LanguageModel,
    ModelPrice,
    Router,
    RoutingSettings,
    Domain,
    DomainExample,
    Flag,
    MetricRow,
    PolicyRevision,
)
_snapshot: bytes | None = None


def install() -> None:
    """The rows that `seed` makes in an empty database."""
    global _snapshot  # noqa: PLW0603
    if PolicyRevision.objects.exists():
        return
    if _snapshot is None:
        seed()
        _snapshot = pickle.dumps([list(model._default_manager.all()) for model in SEEDED])
        return
    seed_roles()
    for model, rows in zip(SEEDED, pickle.loads(_snapshot), strict=True):
        model._default_manager.bulk_create(rows)
