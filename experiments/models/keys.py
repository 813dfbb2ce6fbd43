"""API keys."""

import hashlib
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.core.validators import MinValueValidator
from django.db import models

PREFIX = "sy_"
_MONEY: dict[str, Any] = {
    "max_digits": 14,
    "decimal_places": 6,
    "null": True,
    "blank": True,
    "validators": [MinValueValidator(0)],
}


class Scope(StrEnum):
    """What a key may do."""

    ROUTE = "route"
    FEEDBACK = "feedback"
    READ = "read"
    MANAGE = "manage"


class NewKey(NamedTuple):
    """A key and its secret, which is shown once and not stored."""

    key: "APIKey"
    secret: str


def hash_secret(secret: str) -> str:
    """SHA-256: 32 random bytes need no slow hash, which every request would have to compute."""
    return hashlib.sha256(secret.encode()).hexdigest()


class APIKey(models.Model):
    """A caller of the REST API."""

    name = models.CharField(
        max_length=80, unique=True, help_text="The application that uses the key."
    )
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False)
    scopes = models.JSONField(
        default=list, help_text="What the key may do: " + ", ".join(Scope) + "."
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="REST API and gateway together. Empty: the limit of the setting "
        "API_KEY_REQUESTS_PER_MINUTE.",
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Input and output tokens of the gateway. Empty: no limit."
    )
    budget_day = models.DecimalField(
        "daily budget, USD",
        help_text="The limit for calls through the gateway in one UTC day; more calls are refused. "
        "Empty: no limit.",
        **_MONEY,
    )
    budget_month = models.DecimalField(
        "monthly budget, USD",
        help_text="The same for one calendar month (UTC).",
        **_MONEY,
    )
    soft_budget_day = models.DecimalField(
        "soft daily budget, USD",
        help_text="Calls above it are still answered, with a warning in the response and the log.",
        **_MONEY,
    )
    soft_budget_month = models.DecimalField(
        "soft monthly budget, USD", help_text="The same for one calendar month (UTC).", **_MONEY
    )
    allowed_models = models.JSONField(
        default=list,
        blank=True,
        help_text="Models that the gateway may call for this key. Empty: all.",
    )
    allowed_domains = models.JSONField(
        default=list,
        blank=True,
        help_text="Domains that the gateway answers for this key. Empty: all.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    is_active = models.BooleanField("active", default=True, help_text="Off: the key is refused.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(cls, name: str, scopes: list[str], **fields: object) -> NewKey:
        """Creates a key. Only the return value contains the secret."""
        key = cls(name=name, scopes=scopes, **fields)
        secret = key.make_secret()
        key.save()
        return NewKey(key, secret)

    def make_secret(self) -> str:
        """A new secret for this row, which stores its hash. Does not save the row."""
        secret = PREFIX + secrets.token_urlsafe(32)
        self.secret_hash = hash_secret(secret)
        self.hint = secret[:8]
        return secret

    def is_valid_at(self, now: datetime) -> bool:
        return self.is_active and (self.expires_at is None or now < self.expires_at)
