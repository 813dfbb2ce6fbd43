"""Parts that configuration rows share."""

import secrets
from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any, ClassVar, TypeVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from experiments.core.policy import Method, ModelStep, RoutingPolicy
from experiments.core.text import CONTROL_CHARACTERS, find_unstorable

STEP_EXAMPLE = '{"model": "…", "router": "…", "threshold": 0.7}'
Row = TypeVar("Row", bound=models.Model)
SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


PLAIN = RegexValidator(
    CONTROL_CHARACTERS,
    "Leave out line breaks, tabs and other control characters.",
    inverse_match=True,
)


def on_one_line(field: str) -> models.Q:
    """The check that a name contains no separator of values or rows that the log uses."""
    return ~reduce(or_, (models.Q(**{f"{field}__contains": sign}) for sign in "\n\r\x02\x1f"))


def new_seed() -> str:
    """A random seed for bucketing. It is stored once, so editing a row never moves a unit."""
    return secrets.token_hex(8)


def in_unit_interval(field: str) -> models.Q:
    """The check that a nullable share is in [0, 1]."""
    return models.Q(**{f"{field}__isnull": True}) | models.Q(
        **{f"{field}__gte": 0.0, f"{field}__lte": 1.0}
    )


class ConfigurationRow(models.Model):
    """A row that operators edit. Every save raises `version`, so stale forms are detected."""

    version = models.PositiveIntegerField(default=0, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def save(self, *args: object, **kwargs: object) -> None:
        self.version += 1
        super().save(*args, **kwargs)  # type: ignore[arg-type]


def validate_between(value: object) -> None:
    """Checks a list of steps: registered models, existing routers, thresholds in [0, 1]."""
    if not isinstance(value, list):
        raise ValidationError(f"Enter a list of steps such as [{STEP_EXAMPLE}].")
    if found := find_unstorable(value, numbers=True):
        raise ValidationError(f"Steps{found.field}: it {found}")
    models_there = apps.get_model("experiments", "LanguageModel")._default_manager
    routers_there = apps.get_model("experiments", "Router")._default_manager
    for place, step in enumerate(value, start=1):
        if not isinstance(step, dict) or set(step) != {"model", "router", "threshold"}:
            raise ValidationError(f"Step {place} must have the form {STEP_EXAMPLE}.")
        threshold = step["threshold"]
        if isinstance(threshold, bool) or not isinstance(threshold, int | float):
            raise ValidationError(f"Step {place}: the threshold must be a number.")
        if not 0 <= threshold <= 1:
            raise ValidationError(f"Step {place}: the threshold must be between 0 and 1.")
        if not models_there.filter(name=step["model"]).exists():
            raise ValidationError(f"Step {place}: unknown model '{step['model']}'.")
        if not routers_there.filter(name=step["router"]).exists():
            raise ValidationError(f"Step {place}: unknown router '{step['router']}'.")


def steps_naming(rows: Iterable[models.Model]) -> list[tuple[models.Model, str]]:
    """Routers and models that steps of policies use, with the domain or the arm that uses them.

    A step contains a name instead of a foreign key, so nothing else protects these rows.
    """
    named = {row for row in rows if isinstance(row, NamedInSteps)}
    if not named:
        return []
    policies = [
        row
        for model in ("Domain", "Arm")
        for row in apps.get_model("experiments", model)._default_manager.exclude(between=[])
    ]
    return [
        (row, policy.described)
        for row in named
        for policy in policies
        if any(step[row.step_key] == str(row) for step in policy.between)
    ]


class NamedInStepsQuerySet(models.QuerySet[Row]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Raises ProtectedError, as for rows that a foreign key protects."""
        _refuse_named(self)
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


NamedInStepsManager = models.Manager.from_queryset(NamedInStepsQuerySet)


class NamedInSteps(models.Model):
    """A row that steps of policies name under `step_key`; it cannot be deleted while one does."""

    step_key: ClassVar[str]

    objects = NamedInStepsManager()

    class Meta:
        abstract = True

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raises ProtectedError, as for rows that a foreign key protects."""
        _refuse_named([self])
        return super().delete(*args, **kwargs)


def _refuse_named(rows: Iterable[models.Model]) -> None:
    if found := steps_naming(rows):
        uses = "; ".join(f"{described} uses '{row}'" for row, described in found)
        raise models.ProtectedError(
            f"It cannot be deleted: {uses}. Remove the step first.", {row for row, _ in found}
        )


class RoutingPolicyRow(models.Model):
    """The columns of a routing policy, of a domain or an arm."""

    method = models.CharField(
        max_length=20,
        choices=[
            (Method.ROUTELLM, "RouteLLM: a router's score against a threshold"),
            (Method.ALWAYS_STRONG, "Always the strong model"),
            (Method.ALWAYS_WEAK, "Always the weak model"),
            (Method.DOMAIN_SELECTOR, "Domain selector: by criteria, without a router"),
        ],
        default=Method.ROUTELLM,
        help_text="How the model is chosen while the flag is on.",
    )
    router = models.ForeignKey(
        "experiments.Router",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Scores each prompt. Required for RouteLLM.",
    )
    threshold = models.FloatField(
        null=True,
        blank=True,
        validators=SHARE,
        help_text="Prompts with at least this score go to the strong model. Between 0 and 1; a "
        "lower "
        "threshold sends more prompts there. The shipped router scores most prompts between 0.6 "
        "and 0.85, and about half of them above 0.75.",
    )
    strong_model = models.ForeignKey(
        "experiments.LanguageModel",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The better, more expensive model of the pair. Empty: the default pair.",
    )
    weak_model = models.ForeignKey(
        "experiments.LanguageModel",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The cheaper model of the pair. Empty: the default pair.",
    )
    epsilon = models.FloatField(
        "exploration rate",
        default=0.0,
        validators=SHARE,
        help_text="The share of prompts that goes to the other model at random, so that the log "
        "can "
        "be used to estimate other policies. 0.02 is a good start.",
    )

    between = models.JSONField(
        "steps",
        default=list,
        blank=True,
        validators=[validate_between],
        help_text=f"For more than two models: [{STEP_EXAMPLE}]. A prompt below the threshold goes "
        "to the first step whose threshold its score reaches, else to the weak model.",
    )

    class Meta:
        abstract = True

    @property
    def followed_share(self) -> float | None:
        """The strong share that the threshold follows; None: the threshold is fixed."""
        raise NotImplementedError

    def routing_policy(self) -> RoutingPolicy:
        """This row as a frozen value. Queries the router and both models if not loaded."""
        return RoutingPolicy(
            method=Method(self.method),
            router=self.router.name if self.router else None,
            threshold=self.threshold,
            strong=self.strong_model.name if self.strong_model else None,
            weak=self.weak_model.name if self.weak_model else None,
            epsilon=self.epsilon,
            steps=tuple(ModelStep(**step) for step in self.between),
            target_share=self.followed_share,
        )
