"""What the gateway needs to call models, and what it keeps of each call.

Secrets are never stored: an endpoint names the environment variable or the file that holds its key.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from experiments.core.endpoints import Endpoint, Protocol, may_hold_provider_key
from experiments.core.parameters import LEARNED, NEVER, PARTS, Action
from experiments.core.parameters import ParameterRule as Rule
from experiments.core.provider_addresses import (
    AddressRefusedError,
    host_of,
    literal_address,
    parse_networks,
    refuse_address,
)
from experiments.models.base import PLAIN, ConfigurationRow
from experiments.models.decisions import Decision

# An operator chooses where keys are sent; these must never be among them.
OWN_SECRETS = ("SECRET_KEY", "UNIT_HASH_KEY", "DEMO_API_KEY", "DATABASE_URL", "CACHE_URL")
SECONDS = [MinValueValidator(0.05), MaxValueValidator(3600.0)]


def validate_key_name(name: str) -> None:
    """The variable is one that may hold a provider's key (PROVIDER_KEY_NAMES)."""
    if name and not may_hold_provider_key(name, settings.PROVIDER_KEY_NAMES):
        raise ValidationError(
            "This variable may not hold a provider's key. Use the provider's usual name, such as "
            "OPENAI_API_KEY, or add this one to PROVIDER_KEY_NAMES where Switchyard runs."
        )


def validate_provider_address(base_url: str) -> None:
    """An address that is written as numbers may be called. Names are checked at each call."""
    address = literal_address(host_of(base_url))
    if address is None:
        return
    try:
        refuse_address(address, parse_networks(settings.PROVIDER_PRIVATE_NETWORKS))
    except AddressRefusedError as error:
        raise ValidationError(str(error)) from None


class ProviderEndpoint(ConfigurationRow):
    """Where models are called, and how patiently. Times, retries and calls hold per model."""

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9_.-]*\Z", "Use small letters, digits, dots, hyphens, underscores."
            )
        ],
        help_text="Small letters, digits, dots, hyphens, underscores: openai, our-vllm.",
    )
    protocol = models.CharField(
        max_length=10,
        choices=[
            (Protocol.OPENAI, "OpenAI's: OpenAI, vLLM, Ollama, most gateways"),
            (Protocol.LITELLM, "Another, spoken by LiteLLM"),
        ],
        default=Protocol.OPENAI,
        help_text="OpenAI's protocol is passed through as it is, which is quicker.",
    )
    base_url = models.CharField(
        "base URL",
        max_length=300,
        blank=True,
        validators=[
            RegexValidator(
                r"^https?://[^\s@?#]+\Z",
                "Begin with http:// or https://; leave out user names and what follows a "
                "question mark: keys have their own place.",
            ),
            validate_provider_address,
        ],
        help_text="Up to and with /v1, such as http://127.0.0.1:11434/v1. "
        "With LiteLLM it may be empty: LiteLLM knows its providers' addresses.",
    )
    api_key_env = models.CharField(
        "environment variable of the key",
        max_length=100,
        blank=True,
        validators=[
            RegexValidator(
                rf"^(?!({'|'.join(OWN_SECRETS)})$)[A-Z][A-Z0-9_]*\Z",
                "Use capitals, digits, underscores, and none of Switchyard's own secrets.",
            ),
            validate_key_name,
        ],
        help_text="The name of the variable, never the key: OPENAI_API_KEY. It must be one that "
        "PROVIDER_KEY_NAMES allows. Both empty: the endpoint takes no key.",
    )
    api_key_file = models.CharField(
        "file of the key",
        max_length=300,
        blank=True,
        validators=[RegexValidator(r"^/[^\x00-\x1f]+\Z", "Begin with a slash.")],
        help_text="A file that holds the key and nothing else, instead of a variable: "
        "/run/secrets/openai. It must lie in PROVIDER_KEYS_DIRECTORY.",
    )
    connect_seconds = models.FloatField(
        "time to connect", default=5.0, validators=SECONDS, help_text="Seconds."
    )
    first_token_seconds = models.FloatField(
        "time to the first token",
        default=300.0,
        validators=SECONDS,
        help_text="Seconds a stream may send nothing at all, before its first token and after it. "
        "Any byte counts, comments too. Models that reason first can be silent for minutes. "
        "Answers that are not streamed have the total time.",
    )
    total_seconds = models.FloatField(
        "time in total", default=900.0, validators=SECONDS, help_text="Seconds for one call."
    )
    retries = models.PositiveSmallIntegerField(
        default=1,
        validators=[MaxValueValidator(5)],
        help_text="How often a call that failed before its first byte is made again, after a "
        "short random wait, before another model is asked.",
    )
    concurrency = models.PositiveIntegerField(
        "calls at a time",
        default=0,
        help_text="Of one model, over all processes of a machine. 0: no limit.",
    )
    dropped_parameters = models.JSONField(
        default=list,
        blank=True,
        help_text="Parameters the provider refuses, such as seed. They are left out; all others "
        "are passed on as they came.",
    )
    asks_usage = models.BooleanField(
        "asks for the usage in streams",
        default=True,
        help_text="Off for providers that refuse stream_options. Their streams' tokens are "
        "estimated.",
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
        )


ACTIONS = [
    (Action.DROP, "Leave it out"),
    (Action.RENAME, "Send it under another name"),
    (Action.CLAMP, "Limit it"),
    (Action.REPLACE, "Send another value"),
    (Action.AVOID, "Prefer other models; leave it out where there is none"),
    (Action.REFUSE, "Never ask the model for calls with it"),
]
PARAMETER = RegexValidator(
    rf"^(?!({'|'.join(sorted(NEVER))})$)[A-Za-z][A-Za-z0-9_]*\Z",
    "Name one parameter; model, messages and stream stay as they are.",
)


class ParameterRule(ConfigurationRow):
    """A parameter that some models do not take, and what is done about it.

    Rename and replace need `replacement`. Renames are applied first, limits last.
    """

    name = models.CharField(
        max_length=80,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9][a-z0-9_.-]*\Z", "Use small letters, digits, dots, hyphens.")
        ],
        help_text="Small letters, digits, dots, hyphens: claude-seed. Shown where it was applied.",
    )
    provider = models.CharField(
        max_length=100,
        blank=True,
        validators=[PLAIN],
        help_text="The provider of the models it is about, such as openai. Empty: any.",
    )
    model_patterns = models.JSONField(
        "models",
        default=list,
        blank=True,
        help_text="Patterns of model names, with or without the provider: gpt-5*, *claude*. With "
        "an exclamation mark in front, what they leave out: !*-chat*. Empty: all models.",
    )
    parameter = models.CharField(
        max_length=60,
        validators=[PARAMETER],
        help_text="As callers send it, such as seed. image_url and input_audio mean pictures and "
        "sound in messages, and can only be refused.",
    )
    action = models.CharField(
        max_length=10, choices=ACTIONS, help_text="What is done about it for these models."
    )
    replacement = models.CharField(
        max_length=100,
        blank=True,
        validators=[PLAIN],
        help_text="The other name, or the other value. Only for these two actions.",
    )
    minimum = models.FloatField(
        null=True, blank=True, help_text="For a limit: the lowest number. Empty: no lowest one."
    )
    maximum = models.FloatField(
        null=True,
        blank=True,
        help_text="For a limit: the highest number, or the most entries of a list. Both empty: "
        "the tokens the model can write.",
    )
    only_values = models.JSONField(
        default=list,
        blank=True,
        help_text="Only for these values, such as minimal; of an object its type, such as "
        "json_schema. Empty: for all.",
    )
    except_values = models.JSONField(
        default=list, blank=True, help_text="Not for these values, such as 1."
    )
    with_parameter = models.CharField(
        max_length=60,
        blank=True,
        validators=[PARAMETER],
        help_text="Only for calls that carry this parameter too. Empty: for all.",
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
            message = f"'{self.parameter}' is a part of messages: it can only be refused."
            raise ValidationError({"action": message})


class LearnedParameter(models.Model):
    """What a provider was found to refuse for one model, kept until `expires_at`.

    `value` empty: whatever the value. `times` is how often it was found. Operators may delete it.
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

    `status` is `ok`, or why the call ended otherwise. Tokens are as in `experiments.core.usage`.
    Tokens the provider did not report are `estimated`. Money is in nano-dollars. `changes` lists
    what was sent otherwise than the caller sent it: parameter, action, detail in words, rule.
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
        """Of all lifetimes."""
        return (self.cache_write_tokens or 0) + (self.cache_write_1h_tokens or 0)


class KeyUsage(models.Model):
    """What one key used in one UTC day (`day`) or minute (`minute`); money in nano-dollars.

    A call counts with its estimate from the moment it is let in, and with what it really was from
    its end: so calls at the same time cannot overdraw a budget together.
    """

    DAY, MINUTE = "day", "minute"

    key_id = models.BigIntegerField()
    span = models.CharField(max_length=6, choices=[(DAY, "Day"), (MINUTE, "Minute")])
    starts_at = models.DateTimeField()
    requests = models.BigIntegerField(default=0, db_default=0)
    tokens = models.BigIntegerField(default=0, db_default=0)
    cost = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key_id", "span", "starts_at"], name="key_usage_once")
        ]

    def __str__(self) -> str:
        return f"Key {self.key_id}, {self.span} of {self.starts_at:%Y-%m-%d %H:%M}"


class Circuit(models.Model):
    """Whether a model is being called, shared by all processes.

    Calls and failures are counted since `window_at`. While `open_until` is set the model is not
    called; once that time has passed one probe at a time may (`probe_until`). `opened_at` is when
    it last could be called freely.
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
