"""The configuration as one document, as in revisions and `export_config`.

A document is plain JSON with sorted names, so that its hash shows whether anything changed. Secrets
and unit ids are never part of it: lists contain keyed hashes.
"""

import hashlib
from typing import Any, NamedTuple

import orjson
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models import Q

from experiments.configuration import shapes
from experiments.configuration.rows import document_of, queryset
from experiments.configuration.shapes import WATCHED, Document
from experiments.models import (
    Domain,
    Experiment,
    Flag,
    LanguageModel,
    Metric,
    ModelAlias,
    ParameterRule,
    ProviderEndpoint,
    Rollout,
    Router,
    RoutingSettings,
)
from experiments.models.base import RoutingPolicyRow

PLANNED = (Rollout.State.PENDING, *WATCHED)


class Section(NamedTuple):
    """The rows of a section: their shape, their model, and the column with their name."""

    shape: Any
    model: type[models.Model]
    key: str = "name"
    condition: Q = Q()


SECTIONS = {
    "models": Section(shapes.ModelDocument, LanguageModel),
    "endpoints": Section(shapes.EndpointDocument, ProviderEndpoint),
    "parameter_rules": Section(shapes.ParameterRuleDocument, ParameterRule),
    "routers": Section(shapes.RouterDocument, Router),
    "domains": Section(shapes.DomainDocument, Domain),
    "aliases": Section(shapes.AliasDocument, ModelAlias),
    "metrics": Section(shapes.MetricDocument, Metric),
    "experiments": Section(
        shapes.ExperimentDocument, Experiment, "key", ~Q(status=Experiment.Status.ARCHIVED)
    ),
    "rollouts": Section(shapes.RolloutDocument, Rollout, "key", Q(state__in=PLANNED)),
    "flags": Section(shapes.FlagDocument, Flag, "key"),
}


def current_document() -> Document:
    """The configuration in the current rows. A fixed number of queries."""
    document = {"settings": document_of(shapes.SettingsDocument, load_settings())}
    for name, section in SECTIONS.items():
        rows = queryset(section.shape, section.model).filter(section.condition)
        document[name] = {
            getattr(row, section.key): document_of(section.shape, row)
            for row in rows.order_by(section.key)
        }
    return document


def load_settings() -> RoutingSettings:
    """The row of settings. Raises RoutingSettings.DoesNotExist, which says how to create it."""
    try:
        return queryset(shapes.SettingsDocument, RoutingSettings).get(pk=1)
    except ObjectDoesNotExist:
        raise RoutingSettings.DoesNotExist(
            "No routing settings yet. Run `manage.py seed`."
        ) from None


def policy_document(row: RoutingPolicyRow) -> Document:
    """A policy with its own threshold or target share."""
    document, share = document_of(shapes.PolicyDocument, row), row.followed_share
    return document if share is None else {**document, "target_share": share}


def experiment_document(row: Experiment) -> Document:
    return document_of(shapes.ExperimentDocument, row)


def content_hash(document: Document) -> str:
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
