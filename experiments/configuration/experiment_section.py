"""Experiments in a configuration file: drafts are written, other experiments must be unchanged.

A file never changes an experiment's status, phase or seed, so these keys are ignored.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from experiments.configuration.document import (
    ARM_FIELDS,
    EXPERIMENT_FIELDS,
    METRIC_FIELDS,
    Document,
)
from experiments.configuration.row_lookup import named, placed
from experiments.core.bucketing import weights_problem
from experiments.models import Arm, Domain, Experiment, ExperimentMetric, LanguageModel, Router

NEVER = ("status", "phase", "seed", "tuning_sample_size")
WRITTEN = tuple(name for name in EXPERIMENT_FIELDS if name not in NEVER)
AMOUNTS = ("target_effect", "cost_cap")
EXPERIMENT_KEYS = (*EXPERIMENT_FIELDS, *AMOUNTS, "domain", "arms", "metrics")
ARM_KEYS = (*ARM_FIELDS, "policy")
METRIC_KEYS = METRIC_FIELDS


def problems_of(section: Document, now: Document) -> Iterator[str]:
    """Experiments that are not drafts and that the file would change."""
    for key, values in section.items():
        known = now.get(key)
        if known is None or known["status"] == Experiment.Status.DRAFT:
            continue
        for name in EXPERIMENT_KEYS:
            if name in values and name not in NEVER and values[name] != known[name]:
                yield (
                    f"experiments.{key}: it is {known['status']}, so its {name} is locked. "
                    "Change it in the admin, or clone the experiment."
                )


def write_experiments(section: Document) -> None:
    for key, values in section.items():
        row = Experiment.objects.filter(key=key).first() or Experiment(key=key)
        if not row.is_draft:
            continue
        try:
            write_values(row, values)
        except ValidationError as error:
            raise placed(error, f"experiments.{key}") from error


def write_values(row: Experiment, values: Document) -> None:
    """Writes the given values to the row, its arms and its metrics. Raises ValidationError."""
    for name in WRITTEN:
        if name in values:
            setattr(row, name, values[name])
    for name in AMOUNTS:
        if name in values:
            given = values[name]
            setattr(row, name, None if given is None else Decimal(str(given)))
    if "domain" in values:
        row.domain = named(Domain, values["domain"], f"experiments.{row.key}.domain")
    row.full_clean()
    row.save()
    if "arms" in values:
        _write_arms(row, values["arms"])
    if "metrics" in values:
        row.metrics.all().delete()
        for metric in values["metrics"]:
            _save(ExperimentMetric(experiment=row, **metric))


def _write_arms(row: Experiment, arms: list[Document]) -> None:
    row.arms.all().delete()
    for position, values in enumerate(arms):
        policy = values.get("policy", {})
        path = f"experiments.{row.key}.arms[{position}].policy"
        given = {name: values[name] for name in ARM_FIELDS if name in values}
        arm = Arm(experiment=row, position=position, **given)
        for name in ("method", "threshold", "epsilon", "between"):
            if name in policy:
                setattr(arm, name, policy[name])
        arm.router = named(Router, policy.get("router"), f"{path}.router")
        arm.strong_model = named(LanguageModel, policy.get("strong"), f"{path}.strong")
        arm.weak_model = named(LanguageModel, policy.get("weak"), f"{path}.weak")
        _save(arm)
    weights = list(row.arms.values_list("weight", flat=True))
    if weights and (problem := weights_problem(weights)):
        raise ValidationError({"arms": problem})


def _save(row: Any) -> None:
    row.full_clean()
    row.save()
