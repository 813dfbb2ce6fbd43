"""Names that clients send for a model."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from experiments.core import aliases as core
from experiments.models.base import ConfigurationRow
from experiments.models.catalog import LanguageModel
from experiments.models.domains import Domain

AUTO, DOMAIN = "router-auto", "router/"
_ROUTER = re.compile(r"router-.+-(\d+(\.\d+)?|\.\d+)")
NAME = RegexValidator(r"^[^\s\x00-\x1f]+\Z", "Enter one name without spaces.")


class ModelAlias(ConfigurationRow):
    """A name that clients send for a model, and what it stands for, so that an application changes
    nothing but its base URL and key."""

    name = models.CharField(
        max_length=80,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9_.-]*\Z", "Use lowercase letters, digits, dots, hyphens."
            )
        ],
        help_text="The name of this row: lowercase letters, digits, dots, hyphens.",
    )
    pattern = models.CharField(
        "name that clients send",
        max_length=200,
        validators=[NAME],
        help_text="A name such as gpt-4o, or a pattern such as claude-*.",
    )
    target = models.CharField(
        "stands for",
        max_length=200,
        validators=[NAME],
        help_text="router-auto, a domain (router/medical), a router with its threshold "
        "(router-mf-0.11593) or a registered model (openai/gpt-4.1).",
    )
    keys = models.JSONField(
        "API keys",
        default=list,
        blank=True,
        help_text="The names of the keys that it is for. Empty: all keys. An alias of a key comes "
        "before one for all, a name before a pattern, a long pattern before a short one.",
    )

    class Meta:
        ordering = ["name"]
        verbose_name = "model alias"
        verbose_name_plural = "model aliases"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuses targets that do not exist, and names that already stand for a router."""
        super().clean()
        if self.pattern.startswith(("router-", DOMAIN)):
            raise ValidationError({"pattern": "Names of routers and domains cannot be aliases."})
        if not _exists(self.target):
            raise ValidationError(
                {
                    "target": f"Unknown target '{self.target}'. Enter router-auto, "
                    "router/<domain>, router-<router>-<threshold> or a registered model."
                }
            )

    def as_value(self) -> core.PolicyAlias:
        return core.PolicyAlias(self.name, self.pattern, self.target, frozenset(self.keys))


def _exists(target: str) -> bool:
    if target.startswith(DOMAIN):
        return Domain.objects.filter(name=target.removeprefix(DOMAIN)).exists()
    if target == AUTO or _ROUTER.fullmatch(target):
        return True
    return LanguageModel.objects.filter(name=target).exists()
