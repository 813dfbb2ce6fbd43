"""Feature flags and the settings of all domains."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from experiments.core.policy import FlagRule
from experiments.models.base import ConfigurationRow, new_seed

HUNDRED = Decimal(100)


class Flag(ConfigurationRow):
    """A flag: on for a percentage of units, or for all or none."""

    class Kind(models.TextChoices):
        MASTER = "master", "Master"
        DOMAIN = "domain", "Domain"
        SWITCH = "switch", "Switch"

    key = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, editable=False)
    domain = models.OneToOneField(
        "experiments.Domain",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="flag",
    )
    percentage = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="The percentage of units for which it is on, 0 to 100 in steps of 0.01. Raising "
        "it "
        "keeps all units that were on. A switch takes 0 or 100.",
    )
    seed = models.CharField(max_length=64, default=new_seed, editable=False)
    description = models.TextField(blank=True, help_text="What the flag does.")

    class Meta:
        ordering = ["kind", "key"]
        constraints = [
            models.CheckConstraint(
                condition=Q(percentage__gte=0, percentage__lte=100),
                name="flag_percentage_is_a_percentage",
            ),
            models.CheckConstraint(
                condition=~Q(kind="switch") | Q(percentage__in=[0, 100]),
                name="flag_switch_is_on_or_off",
            ),
            models.CheckConstraint(
                condition=Q(kind="domain", domain__isnull=False)
                | (~Q(kind="domain") & Q(domain__isnull=True)),
                name="flag_of_a_domain_names_it",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    def clean(self) -> None:
        if self.kind == self.Kind.SWITCH and self.percentage not in {Decimal(0), HUNDRED}:
            raise ValidationError(
                {"percentage": "This flag is on for all units or for none. Enter 0 or 100."}
            )

    @property
    def is_on_for_all(self) -> bool:
        return self.percentage == HUNDRED

    def as_value(self) -> FlagRule:
        """One query if the entries are not prefetched."""
        entries = list(self.entries.all())
        return FlagRule(
            key=self.key,
            share=int(self.percentage * 100),
            seed=self.seed,
            allow=frozenset(e.unit_hash for e in entries if e.kind == FlagEntry.EntryKind.ALLOW),
            deny=frozenset(e.unit_hash for e in entries if e.kind == FlagEntry.EntryKind.DENY),
        )


class FlagEntry(models.Model):
    """A unit for which a flag is always on or off. Only a keyed hash of its id is stored."""

    class EntryKind(models.TextChoices):
        ALLOW = "allow", "Always on"
        DENY = "deny", "Always off"

    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, related_name="entries")
    kind = models.CharField(max_length=5, choices=EntryKind.choices)
    unit_hash = models.CharField(max_length=32, editable=False)
    label = models.CharField(
        max_length=80, help_text="A name for this unit, because its id is not stored."
    )

    class Meta:
        ordering = ["kind", "label"]
        verbose_name = "listed unit"
        constraints = [
            models.UniqueConstraint(fields=["flag", "unit_hash"], name="flag_lists_a_unit_once")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.label}"


class RoutingSettings(ConfigurationRow):
    """Settings of all domains, a single row."""

    detector = models.CharField(
        max_length=10,
        choices=[("learned", "Learned, on prompt embeddings"), ("classic", "Classic, keywords")],
        default="learned",
        help_text="How the domain of a prompt is detected.",
    )
    strong_model = models.ForeignKey(
        "experiments.LanguageModel",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The strong model of domains without their own pair.",
    )
    weak_model = models.ForeignKey(
        "experiments.LanguageModel",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The weak model of domains without their own pair.",
    )
    baseline = models.CharField(
        max_length=200,
        default="always_strong",
        help_text="The baseline of savings: always_strong, always_weak or the name of a model.",
    )
    holdout_percentage = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="The percentage of units that always use the domain selector, to measure the "
        "effect "
        "of all routing. It cannot grow while an experiment runs.",
    )
    holdout_seed = models.CharField(max_length=64, default=new_seed, editable=False)
    exploration_seed = models.CharField(max_length=64, default=new_seed, editable=False)
    judge_model = models.ForeignKey(
        "experiments.LanguageModel",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Compares the two answers of a shadow call. Choose a model that is in no pair, "
        "because models prefer their own answers. Empty: no comparison.",
    )
    shadow_budget = models.DecimalField(
        "daily budget, USD",
        max_digits=12,
        decimal_places=4,
        default=Decimal(1),
        validators=[MinValueValidator(0)],
        help_text="The daily limit (UTC) for shadow calls and judging together. When it is used "
        "up, "
        "they stop until the next day.",
    )
    shadow_seed = models.CharField(max_length=64, default=new_seed, editable=False)

    class Meta:
        verbose_name_plural = "routing settings"
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="there_is_one_row_of_settings"),
            models.CheckConstraint(
                condition=Q(holdout_percentage__gte=0, holdout_percentage__lte=100),
                name="holdout_percentage_is_a_percentage",
            ),
            models.CheckConstraint(
                condition=Q(shadow_budget__gte=0), name="shadow_budget_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return "Routing settings"
