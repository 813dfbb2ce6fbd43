"""Domains, how they are recognised and what answers them."""

from django.core.validators import RegexValidator
from django.db import models

from experiments.core.selection import GENERAL
from experiments.models.base import (
    SHARE,
    ConfigurationRow,
    RoutingPolicyRow,
    in_unit_interval,
    on_one_line,
)


class Domain(ConfigurationRow, RoutingPolicyRow):
    """A subject of prompts. `general` holds what is none of the others and cannot be deleted."""

    class PromptStorage(models.TextChoices):
        NONE = "none", "Nothing of the prompt"
        FEATURES = "features", "The numbers routers use, not the text"
        TEXT = "text", "The whole prompt"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_]*\Z", "Use small letters, digits and underscores.")
        ],
        help_text="Small letters, digits, underscores. Also part of the flag's name.",
    )
    label = models.CharField(max_length=80, help_text="How pages call it.")
    description = models.TextField(blank=True, help_text="What belongs here, for colleagues.")
    keywords = models.JSONField(
        default=list,
        blank=True,
        help_text="Words the classic detector looks for. Confidence is the share found.",
    )
    patterns = models.JSONField(
        default=list,
        blank=True,
        help_text="Regular expressions (RE2) the classic detector looks for.",
    )
    preferred_models = models.JSONField(
        default=list,
        blank=True,
        help_text="Models the domain selector prefers, best first; also where a decision goes "
        "when its model is unavailable.",
    )
    required_capabilities = models.JSONField(
        default=list, blank=True, help_text="What a model must be able to do to answer here."
    )
    required_certifications = models.JSONField(
        default=list, blank=True, help_text="Certifications a model must hold, such as HIPAA."
    )
    min_accuracy_score = models.FloatField(
        "minimum accuracy",
        default=0.0,
        validators=SHARE,
        help_text="The least accuracy score the domain selector accepts, between 0 and 1.",
    )
    min_confidence = models.FloatField(
        "minimum confidence",
        default=0.0,
        validators=SHARE,
        help_text="A detection below this counts as general.",
    )
    target_strong_share = models.FloatField(
        default=0.5,
        validators=SHARE,
        help_text="The share of prompts meant for the strong model. `calibrate_thresholds` finds "
        "the threshold that gives it.",
    )
    calibrated_threshold = models.FloatField(
        null=True,
        blank=True,
        editable=False,
        help_text="Found by calibration; used while routellm_dynamic_threshold is on.",
    )
    prompt_storage = models.CharField(
        max_length=10,
        choices=PromptStorage.choices,
        default=PromptStorage.NONE,
        help_text="What is kept of a prompt with its decision.",
    )
    shadow_share = models.FloatField(
        default=0.0,
        validators=SHARE,
        help_text="Share of the gateway's calls for which the other model of the pair answers too, "
        "after the user has had the answer and never seen by anybody outside. It costs that "
        "model's price, within the day's budget in the settings. 0.05 is a good start.",
    )
    rubric = models.TextField(
        blank=True,
        max_length=4000,
        help_text="What makes an answer better here, in your words; the judge compares by it. "
        "Empty: correct first, then complete, then clear and short.",
    )

    class Meta:
        ordering = ["name"]
        constraints = [
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
        ]

    @property
    def described(self) -> str:
        """Whose step a cascade's is."""
        return f"a step of domain '{self.name}'"

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def is_general(self) -> bool:
        return self.name == GENERAL


class DomainExample(models.Model):
    """A prompt that belongs to a domain. The learned detector reads it at the next revision."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="examples")
    text = models.TextField(
        max_length=4000, help_text="A prompt as people really write it. A few go a long way."
    )

    class Meta:
        ordering = ["pk"]
        verbose_name = "example prompt"

    def __str__(self) -> str:
        return self.text[:60]
