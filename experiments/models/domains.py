"""Domains: detection, policy and storage."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from experiments.core.selection import GENERAL
from experiments.models.base import (
    SHARE,
    ConfigurationRow,
    RoutingPolicyRow,
    in_unit_interval,
    on_one_line,
)


class TargetKind(models.TextChoices):
    """What a domain's target is measured in."""

    STRONG_SHARE = "strong_share", "Strong share: this share of prompts"
    DOLLARS = "dollars_per_1000", "Dollars per 1,000 requests"
    QUALITY = "quality", "Quality: this share of the strong model's"


class Domain(ConfigurationRow, RoutingPolicyRow):
    """A subject of prompts. `general` is for all other prompts and cannot be deleted."""

    class PromptStorage(models.TextChoices):
        NONE = "none", "Nothing"
        FEATURES = "features", "Features for routers, not the text"
        TEXT = "text", "The text of the prompt"

    class LearningMode(models.TextChoices):
        AUTOMATIC = "automatic", "Serve it at once"
        APPROVAL = "approval", "Wait for approval"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_]*\Z", "Use lowercase letters, digits and underscores.")
        ],
        help_text="Lowercase letters, digits, underscores. It is also part of the flag's name.",
    )
    label = models.CharField(max_length=80, help_text="The name on pages.")
    description = models.TextField(blank=True, help_text="Which prompts belong here.")
    keywords = models.JSONField(
        default=list,
        blank=True,
        help_text="Words that the classic detector searches for. Confidence is the share found.",
    )
    patterns = models.JSONField(
        default=list,
        blank=True,
        help_text="Regular expressions (RE2) that the classic detector searches for.",
    )
    preferred_models = models.JSONField(
        default=list,
        blank=True,
        help_text="Models that the domain selector prefers, best first. They also answer when the "
        "chosen model is unavailable.",
    )
    required_capabilities = models.JSONField(
        default=list, blank=True, help_text="Capabilities that a model needs to answer here."
    )
    required_certifications = models.JSONField(
        default=list, blank=True, help_text="Certifications that a model needs, such as HIPAA."
    )
    min_accuracy_score = models.FloatField(
        "minimum accuracy",
        default=0.0,
        validators=SHARE,
        help_text="The lowest accuracy score that the domain selector accepts, between 0 and 1.",
    )
    min_confidence = models.FloatField(
        "minimum confidence",
        default=0.0,
        validators=SHARE,
        help_text="Prompts detected with less confidence belong to general.",
    )
    follows_target = models.BooleanField(
        default=False,
        help_text="On: the threshold follows the target below, without a command. Off: the "
        "threshold above is fixed.",
    )
    target_kind = models.CharField(
        max_length=20,
        choices=TargetKind.choices,
        default=TargetKind.STRONG_SHARE,
        help_text="What the domain aims at while it follows its target. A strong share is kept "
        "from the first request on. Dollars and quality need data: they are looked up once an "
        "hour, and stay as they are while an experiment runs.",
    )
    target_strong_share = models.FloatField(
        default=0.5,
        validators=SHARE,
        help_text="The target strong share: 0.5 sends half of the prompts to the strong model.",
    )
    target_value = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0)],
        help_text="For the other targets: dollars per 1,000 requests, such as 2.50, or the share "
        "of the strong model's quality, such as 0.95.",
    )
    resolved_share = models.FloatField(
        null=True,
        blank=True,
        editable=False,
        help_text="The strong share that keeps the target in dollars, from recent costs.",
    )
    calibrated_threshold = models.FloatField(
        null=True,
        blank=True,
        editable=False,
        help_text="The result of calibration, used while routellm_dynamic_threshold is on.",
    )
    prompt_storage = models.CharField(
        max_length=10,
        choices=PromptStorage.choices,
        default=PromptStorage.NONE,
        help_text="What is stored of a prompt with its decision.",
    )
    shadow_share = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="The share of the gateway's calls for which the other model of the pair also "
        "answers, after the user got the answer. Users never see that second answer. It costs "
        "that model's price, up to the daily budget in the settings. 0.05 is a good start.",
    )
    rubric = models.TextField(
        blank=True,
        max_length=4000,
        help_text="What makes an answer better in this domain; the judge uses it. Empty: first "
        "correct, then complete, then clear and short.",
    )

    learning = models.BooleanField(
        default=False,
        help_text="Learn a router from this domain's traffic, while the flag routellm_learning is "
        "on. 10 % of prompts (5 % after 400 pairs) are also answered by the other model, within "
        "the daily budget. Texts stay encrypted and are deleted after judging.",
    )
    learning_budget = models.DecimalField(
        "daily budget of learning, USD",
        max_digits=12,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="The daily limit (UTC) for pairs of this domain, within the daily budget of the "
        "routing settings. Empty: only that one counts.",
    )
    learning_mode = models.CharField(
        max_length=10,
        choices=LearningMode.choices,
        default=LearningMode.AUTOMATIC,
        help_text="What happens when the learned router looks better than the present one.",
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(learning_budget__isnull=True) | Q(learning_budget__gte=0),
                name="domain_learning_budget_is_not_negative",
            ),
            models.CheckConstraint(condition=on_one_line("name"), name="domain_name_on_one_line"),
            models.CheckConstraint(
                condition=in_unit_interval("threshold"), name="domain_threshold_is_a_share"
            ),
            models.CheckConstraint(
                condition=in_unit_interval("epsilon"), name="domain_epsilon_is_a_share"
            ),
            models.CheckConstraint(
                condition=in_unit_interval("shadow_share"), name="domain_shadow_share_is_a_share"
            ),
            models.CheckConstraint(
                condition=in_unit_interval("resolved_share"),
                name="domain_resolved_share_is_a_share",
            ),
        ]

    @property
    def described(self) -> str:
        """The owner of a step, for messages."""
        return f"a step of domain '{self.name}'"

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def is_general(self) -> bool:
        return self.name == GENERAL

    @property
    def followed_share(self) -> float | None:
        """The strong share that the threshold follows; None where the threshold is fixed."""
        return followed_share(
            self.follows_target, self.target_kind, self.target_strong_share, self.resolved_share
        )

    @property
    def target_number(self) -> float | None:
        """The target's number, in the unit of its kind."""
        is_share = self.target_kind == TargetKind.STRONG_SHARE
        return self.target_strong_share if is_share else self.target_value

    def clean(self) -> None:
        super().clean()
        value, kind = self.target_value, self.target_kind
        if not self.follows_target or kind == TargetKind.STRONG_SHARE:
            return
        if not value:
            raise ValidationError({"target_value": "Enter the target: a number above 0."})
        if kind == TargetKind.QUALITY and not 0 < value < 1:
            raise ValidationError(
                {"target_value": "A share of the quality is between 0 and 1, such as 0.95."}
            )


def followed_share(
    follows: bool, kind: str, strong_share: float, resolved_share: float | None
) -> float | None:
    """The strong share that a domain's threshold follows; None where the threshold is fixed."""
    if not follows:
        return None
    if kind == TargetKind.STRONG_SHARE:
        return strong_share
    return resolved_share if kind == TargetKind.DOLLARS else None


class DomainExample(models.Model):
    """A prompt that belongs to a domain. The learned detector uses it from the next revision on."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="examples")
    text = models.TextField(
        max_length=4000, help_text="A prompt as users write it. A few examples are enough."
    )

    class Meta:
        ordering = ["pk"]
        verbose_name = "example prompt"

    def __str__(self) -> str:
        return self.text[:60]
