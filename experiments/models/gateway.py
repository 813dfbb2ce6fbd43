"""Rows of the gateway: endpoints, parameter rules, attempts, key usage and circuit breakers.

Secrets are never stored: an endpoint names the environment variable or the file with its key.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from experiments.core.endpoints import Endpoint, Protocol, may_hold_provider_key
from experiments.core.parameters import LEARNED, NEVER, PARTS, Action
from experiments.core.parameters import PolicyRule as Rule
from experiments.core.provider_addresses import (
    AddressRefusedError,
    host_of,
    literal_address,
    parse_networks,
    refuse_address,
)
from experiments.models.base import PLAIN, ConfigurationRow
from experiments.models.decisions import Decision
from experiments.models.sums import changes_index, folded_column

# Operators choose where keys are sent, so these secrets are never allowed.
OWN_SECRETS = ("SECRET_KEY", "UNIT_HASH_KEY", "DEMO_API_KEY", "DATABASE_URL", "CACHE_URL")
SECONDS = [MinValueValidator(0.05), MaxValueValidator(3600.0)]


def validate_key_name(name: str) -> None:
    """Checks that the variable may contain a provider's key (PROVIDER_KEY_NAMES)."""
    if name and not may_hold_provider_key(name, settings.PROVIDER_KEY_NAMES):
        raise ValidationError(
            "This variable cannot contain a provider's key. Use the provider's usual name, such as "
            "OPENAI_API_KEY, or add this one to PROVIDER_KEY_NAMES where Switchyard runs."
        )


def validate_provider_address(base_url: str) -> None:
    """Checks a numeric address. Host names are checked at each call."""
    address = literal_address(host_of(base_url))
    if address is None:
        return
    try:
        refuse_address(address, parse_networks(settings.PROVIDER_PRIVATE_NETWORKS))
    except AddressRefusedError as error:
        raise ValidationError(str(error)) from None


class ProviderEndpoint(ConfigurationRow):
    """The address, protocol, timeouts and limits of a provider. Limits apply to each model."""

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9_.-]*\Z",
                "Use lowercase letters, digits, dots, hyphens, underscores.",
            )
        ],
        help_text="Lowercase letters, digits, dots, hyphens, underscores: openai, our-vllm.",
    )
    protocol = models.CharField(
        max_length=10,
        choices=[
            (Protocol.OPENAI, "OpenAI: OpenAI, vLLM, Ollama, most gateways"),
            (Protocol.LITELLM, "Other, through LiteLLM"),
        ],
        default=Protocol.OPENAI,
        help_text="Requests in OpenAI's protocol are passed through unchanged, which is faster.",
    )
    base_url = models.CharField(
        "base URL",
        max_length=300,
        blank=True,
        validators=[
            RegexValidator(
                r"^https?://[^\s@?#]+\Z",
                "Start with http:// or https://. Leave out user names and everything after a "
                "question mark; keys have their own fields.",
            ),
            validate_provider_address,
        ],
        help_text="Including /v1, such as http://127.0.0.1:11434/v1. "
        "It can be empty with LiteLLM, which knows the addresses of its providers.",
    )
    api_key_env = models.CharField(
        "environment variable with the key",
        max_length=100,
        blank=True,
        validators=[
            RegexValidator(
                rf"^(?!({'|'.join(OWN_SECRETS)})$)[A-Z][A-Z0-9_]*\Z",
                "Use uppercase letters, digits and underscores, and none of Switchyard's secrets.",
            ),
            validate_key_name,
        ],
        help_text="The name of the variable, not the key: OPENAI_API_KEY. PROVIDER_KEY_NAMES must "
        "allow it. Both empty: no key.",
    )
    api_key_file = models.CharField(
        "file with the key",
        max_length=300,
        blank=True,
        validators=[RegexValidator(r"^/[^\x00-\x1f]+\Z", "Start with a slash.")],
        help_text="A file that contains only the key, instead of a variable: /run/secrets/openai. "
        "It must be in PROVIDER_KEYS_DIRECTORY.",
    )
    connect_seconds = models.FloatField(
        "connect timeout", default=5.0, validators=SECONDS, help_text="Seconds."
    )
    first_token_seconds = models.FloatField(
        "stream timeout",
        default=300.0,
        validators=SECONDS,
        help_text="Seconds without any byte from a stream, before and after its first token. "
        "Comments count too. Models that reason first can be silent for minutes. "
        "Answers without streaming use the total timeout.",
    )
    total_seconds = models.FloatField(
        "total timeout", default=900.0, validators=SECONDS, help_text="Seconds for one call."
    )
    retries = models.PositiveSmallIntegerField(
        default=1,
        validators=[MaxValueValidator(5)],
        help_text="How often a call that failed before its first byte is repeated, after a short "
        "random wait, before another model is called.",
    )
    concurrency = models.PositiveIntegerField(
        "concurrency limit",
        default=0,
        help_text="The most calls of one model at the same time, in all processes of a machine. "
        "0: no "
        "limit.",
    )
    dropped_parameters = models.JSONField(
        default=list,
        blank=True,
        help_text="Parameters that the provider rejects, such as seed. They are left out; all "
        "others "
        "are passed on unchanged.",
    )
    asks_usage = models.BooleanField(
        "requests usage in streams",
        default=True,
        help_text="Turn off for providers that reject stream_options. The tokens of their streams "
        "are estimated.",
    )

    native_formats = models.JSONField(
        "also takes",
        default=list,
        blank=True,
        help_text="Requests that the provider takes as they are, besides chat completions: "
        "messages (Anthropic's), responses (OpenAI's). Others are translated. OpenAI's own address "
        "and LiteLLM's anthropic/ models are known.",
    )

    class Meta:
        ordering = ["name"]
        verbose_name = "provider endpoint"
        constraints = [
            models.CheckConstraint(
                condition=~Q(protocol=Protocol.OPENAI) | ~Q(base_url=""),
                name="endpoint_openai_has_an_address",
                violation_error_message="OpenAI's protocol needs the base URL.",
            ),
            models.CheckConstraint(
                condition=Q(api_key_env="") | Q(api_key_file=""),
                name="endpoint_key_comes_from_one_place",
                violation_error_message="Name the key's variable or its file, not both.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_value(self) -> Endpoint:
        return Endpoint(
            name=self.name,
            protocol=Protocol(self.protocol),
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            api_key_file=self.api_key_file,
            connect_seconds=self.connect_seconds,
            first_token_seconds=self.first_token_seconds,
            total_seconds=self.total_seconds,
            retries=self.retries,
            concurrency=self.concurrency,
            dropped_parameters=tuple(self.dropped_parameters),
            asks_usage=self.asks_usage,
            native_formats=tuple(self.native_formats),
        )


ACTIONS = [
    (Action.DROP, "Leave it out"),
    (Action.RENAME, "Send it under another name"),
    (Action.CLAMP, "Limit it"),
    (Action.REPLACE, "Send another value"),
    (Action.AVOID, "Prefer other models; leave it out if there is none"),
    (Action.REFUSE, "Never call the model with it"),
]
PARAMETER = RegexValidator(
    rf"^(?!({'|'.join(sorted(NEVER))})$)[A-Za-z][A-Za-z0-9_]*\Z",
    "Enter one parameter; model, messages and stream cannot be changed.",
)


class ParameterRule(ConfigurationRow):
    """A parameter that some models do not support, and the action for it.

    Rename and replace need `replacement`. Renames are applied first, limits last.
    """

    name = models.CharField(
        max_length=80,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9_.-]*\Z", "Use lowercase letters, digits, dots, hyphens."
            )
        ],
        help_text="Lowercase letters, digits, dots, hyphens: claude-seed. Shown where the rule was "
        "applied.",
    )
    provider = models.CharField(
        max_length=100,
        blank=True,
        validators=[PLAIN],
        help_text="The provider of the models, such as openai. Empty: any.",
    )
    model_patterns = models.JSONField(
        "models",
        default=list,
        blank=True,
        help_text="Patterns of model names, with or without the provider: gpt-5*, *claude*. An "
        "exclamation mark excludes models: !*-chat*. Empty: all models.",
    )
    parameter = models.CharField(
        max_length=60,
        validators=[PARAMETER],
        help_text="The name that callers send, such as seed. image_url and input_audio mean images "
        "and audio in messages, and can only be refused.",
    )
    action = models.CharField(
        max_length=10, choices=ACTIONS, help_text="The action for these models."
    )
    replacement = models.CharField(
        max_length=100,
        blank=True,
        validators=[PLAIN],
        help_text="The new name or value, for actions that need one.",
    )
    minimum = models.FloatField(
        null=True, blank=True, help_text="For a limit: the lowest number. Empty: none."
    )
    maximum = models.FloatField(
        null=True,
        blank=True,
        help_text="For a limit: the highest number, or the most entries of a list. Both empty: "
        "the model's maximum output tokens.",
    )
    only_values = models.JSONField(
        default=list,
        blank=True,
        help_text="Only for these values, such as minimal, or types of objects, such as "
        "json_schema. Empty: all values.",
    )
    except_values = models.JSONField(
        default=list, blank=True, help_text="Not for these values, such as 1."
    )
    with_parameter = models.CharField(
        max_length=60,
        blank=True,
        validators=[PARAMETER],
        help_text="Only for calls that also have this parameter. Empty: all calls.",
    )

    class Meta:
        ordering = ["name"]
        verbose_name = "parameter rule"
        constraints = [
            models.CheckConstraint(
                condition=~Q(action__in=[Action.RENAME, Action.REPLACE]) | ~Q(replacement=""),
                name="parameter_rule_names_a_replacement",
                violation_error_message="Give the replacement: the other name or value.",
            ),
            models.CheckConstraint(
                condition=~Q(action=Action.RENAME) | ~Q(replacement__in=sorted(NEVER)),
                name="parameter_rule_renames_to_a_parameter",
                violation_error_message="model, messages and stream stay as they are.",
            ),
            models.CheckConstraint(
                condition=Q(minimum__isnull=True)
                | Q(maximum__isnull=True)
                | Q(minimum__lte=F("maximum")),
                name="parameter_rule_limits_are_in_order",
                violation_error_message="The lowest number is above the highest.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.parameter in PARTS and self.action != Action.REFUSE:
            message = f"'{self.parameter}' is a part of messages and can only be refused."
            raise ValidationError({"action": message})


class LearnedParameter(models.Model):
    """A parameter that a provider rejected for one model, stored until `expires_at`.

    An empty `value` means any value. `times` counts the rejections. Operators can delete rows.
    """

    model = models.CharField(max_length=200)
    parameter = models.CharField(max_length=60)
    value = models.CharField(max_length=100, blank=True)
    action = models.CharField(max_length=10, choices=ACTIONS)
    replacement = models.CharField(max_length=100, blank=True)
    maximum = models.FloatField(null=True)
    with_parameter = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    learned_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["model", "parameter", "value"]
        verbose_name = "learned parameter"
        constraints = [
            models.UniqueConstraint(
                fields=["model", "parameter", "value"], name="learned_parameter_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model}: {self.parameter}"

    def as_rule(self) -> Rule:
        return Rule(
            name=LEARNED,
            parameter=self.parameter,
            action=Action(self.action),
            only_values=(self.value,) if self.value else (),
            with_parameter=self.with_parameter,
            replacement=self.replacement,
            maximum=self.maximum,
        )


class Attempt(models.Model):
    """One call of a model for one decision. Times are milliseconds after `started_at`.

    `status` is `ok`, or why the call failed. Tokens are as in `experiments.core.usage`; those that
    the provider did not report are `estimated`. Money is in nano-dollars. `changes` lists changed
    parameters: parameter, action, detail in words, rule.
    """

    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=40, blank=True)
    is_fallback = models.BooleanField()
    started_at = models.DateTimeField()
    first_token_ms = models.FloatField(null=True)
    ended_ms = models.FloatField()
    status = models.CharField(max_length=30)
    http_status = models.PositiveSmallIntegerField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    reasoning_tokens = models.PositiveIntegerField(null=True)
    cache_write_tokens = models.PositiveIntegerField(null=True)
    cache_write_1h_tokens = models.PositiveIntegerField(null=True)
    input_audio_tokens = models.PositiveIntegerField(null=True)
    output_audio_tokens = models.PositiveIntegerField(null=True)
    estimated = models.BooleanField(default=False)
    cost = models.BigIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    changes = models.JSONField(default=list)

    class Meta:
        ordering = ["decision", "number"]
        constraints = [
            models.UniqueConstraint(fields=["decision", "number"], name="attempt_number_once")
        ]
        indexes = [models.Index(fields=["started_at"], name="attempt_time")]

    def __str__(self) -> str:
        return f"{self.model}: {self.status}"

    @property
    def cache_writes(self) -> int:
        """Cache writes of all lifetimes."""
        return (self.cache_write_tokens or 0) + (self.cache_write_1h_tokens or 0)


class KeyUsage(models.Model):
    """The usage of one key in one UTC day (`day`) or minute (`minute`); money in nano-dollars.

    A call counts with its estimate from its admission, and with its actual usage from its end, so
    that simultaneous calls cannot exceed a budget together. As with all sums
    (`experiments.models.sums`), changes that are not folded yet are rows of their own.
    """

    DAY, MINUTE = "day", "minute"

    key_id = models.BigIntegerField()
    span = models.CharField(max_length=6, choices=[(DAY, "Day"), (MINUTE, "Minute")])
    starts_at = models.DateTimeField()
    folded = folded_column()
    requests = models.BigIntegerField(default=0, db_default=0)
    tokens = models.BigIntegerField(default=0, db_default=0)
    cost = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key_id", "span", "starts_at", "folded"], name="key_usage_once"
            )
        ]
        indexes = [changes_index("key_usage_changes")]

    def __str__(self) -> str:
        return f"Key {self.key_id}, {self.span} of {self.starts_at:%Y-%m-%d %H:%M}"


class QuotaLease(models.Model):
    """A slice of a key's limits that one holder may use up without asking the database how much
    the key has used: money in `day`, requests and tokens in `minute`.

    The row says what was leased, not what is left of it; the holder knows that, a process in
    memory or Redis for all of them. A call counts only while the row is there: who deletes it
    takes the rest back (`experiments.limits.leases`). Columns of what is not limited are 0.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    holder = models.UUIDField()
    key_id = models.BigIntegerField()
    day = models.DateTimeField()
    minute = models.DateTimeField()
    requests = models.BigIntegerField()
    tokens = models.BigIntegerField()
    cost = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["key_id"], name="quota_lease_key")]

    def __str__(self) -> str:
        return f"Key {self.key_id}, {self.minute:%Y-%m-%d %H:%M}"


class Circuit(models.Model):
    """The circuit breaker of a model, shared by all processes.

    Calls and failures are counted since `window_at`. While `open_until` is set, the model is not
    called; after that time one probe at a time is allowed (`probe_until`). `opened_at` is when the
    breaker opened.
    """

    model = models.CharField(max_length=200, unique=True)
    window_at = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    open_until = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True)
    trips = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["model"]

    def __str__(self) -> str:
        return f"{self.model}: {'open' if self.open_until else 'closed'}"
