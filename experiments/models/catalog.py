"""Language models and their prices."""

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from experiments.core.money import Price as PriceValue
from experiments.models.base import (
    PLAIN,
    SHARE,
    ConfigurationRow,
    NamedInSteps,
    in_unit_interval,
    on_one_line,
)

CAPABILITIES = {
    "function_calling": "Function calling",
    "structured_output": "Structured output",
    "streaming": "Streaming",
    "vision": "Images in",
    "audio": "Audio in",
    "code": "Specialised in code",
    "tools": "Tools",
    "json_mode": "JSON mode",
}
SPEEDS = [("slow", "Slow"), ("medium", "Medium"), ("fast", "Fast")]


class LanguageModel(NamedInSteps, ConfigurationRow):
    """A model that can answer. Its name is the one of LiteLLM, such as `openai/gpt-4.1`."""

    step_key = "model"

    name = models.CharField(
        max_length=200,
        unique=True,
        validators=[PLAIN],
        help_text="The name in LiteLLM, including the provider: openai/gpt-4.1.",
    )
    provider = models.CharField(
        max_length=100, validators=[PLAIN], help_text="The provider: openai, anthropic, …"
    )
    is_available = models.BooleanField(
        "available", default=True, help_text="Off: no prompt is sent to it."
    )
    endpoint = models.ForeignKey(
        "experiments.ProviderEndpoint",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="models",
        help_text="The endpoint that the gateway calls. Empty: decisions can name the model, but "
        "the gateway does not call it.",
    )
    upstream_name = models.CharField(
        "name at the endpoint",
        max_length=200,
        blank=True,
        validators=[PLAIN],
        help_text="The model's name at the endpoint. Empty: the name without its provider.",
    )
    context_window = models.PositiveIntegerField(
        default=8192, help_text="Input and output tokens together."
    )
    max_output_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most output tokens. Empty: not known."
    )
    tasks = models.JSONField(
        default=list, blank=True, help_text="Intended uses, such as chat or code."
    )
    capabilities = models.JSONField(
        default=list,
        blank=True,
        help_text="What the model can do: " + ", ".join(CAPABILITIES) + ".",
    )
    languages = models.JSONField(default=list, blank=True, help_text="Language codes, such as en.")
    domains = models.JSONField(
        default=list, blank=True, help_text="Domains in which the model is known to be good."
    )
    certifications = models.JSONField(
        default=list, blank=True, help_text="Certifications of the provider, such as HIPAA."
    )
    accuracy_score = models.FloatField(
        default=0.85,
        validators=SHARE,
        help_text="The general quality of its answers, between 0 and 1. The domain selector ranks "
        "by it, and a domain can require a minimum.",
    )
    speed_rating = models.CharField(max_length=10, choices=SPEEDS, default="medium")
    latency_p50_ms = models.FloatField(
        default=0.0, help_text="Median latency, in milliseconds. 0: not known."
    )
    latency_p95_ms = models.FloatField(
        default=0.0, help_text="95th percentile of the latency, in milliseconds. 0: not known."
    )

    class Meta:
        ordering = ["name"]
        verbose_name = "model"
        constraints = [
            models.CheckConstraint(
                condition=in_unit_interval("accuracy_score"), name="model_accuracy_is_a_share"
            ),
            models.CheckConstraint(
                condition=on_one_line("name"),
                name="model_name_on_one_line",
                violation_error_message=PLAIN.message,
            ),
        ]

    def __str__(self) -> str:
        return self.name


def _own_price(
    of: str, help_text: str, empty: str = "same as other tokens"
) -> "models.DecimalField[Decimal | None, Decimal | None]":
    """A separate price for some of the tokens."""
    return models.DecimalField(
        f"{of}, USD per million tokens",
        max_digits=14,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=f"{help_text} Empty: {empty}.",
    )


# Separate prices for some of the tokens: the column, and the field of `core.money.Price`.
PART_PRICES = {
    "cached_input_per_million": "cached_per_million",
    "reasoning_output_per_million": "reasoning_per_million",
    "cache_write_per_million": "cache_write_per_million",
    "cache_write_1h_per_million": "cache_write_1h_per_million",
    "audio_input_per_million": "audio_input_per_million",
    "audio_output_per_million": "audio_output_per_million",
}


class ModelPrice(models.Model):
    """A price and its time range. An operator's price overrides the catalogue's."""

    CATALOGUE = "genai-prices"
    OPERATOR = "operator"

    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="prices")
    input_per_million = models.DecimalField(
        "input, USD per million tokens",
        max_digits=14,
        decimal_places=6,
        validators=[MinValueValidator(0)],
        help_text="US dollars per million input tokens.",
    )
    output_per_million = models.DecimalField(
        "output, USD per million tokens",
        max_digits=14,
        decimal_places=6,
        validators=[MinValueValidator(0)],
        help_text="US dollars per million output tokens.",
    )
    per_request = models.DecimalField(
        "USD per request",
        max_digits=14,
        decimal_places=9,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(10_000)],
        help_text="A fixed price per call, if the provider charges one.",
    )
    cached_input_per_million = _own_price(
        "cached input",
        "Input tokens that the provider read from its cache.",
    )
    reasoning_output_per_million = _own_price(
        "reasoning",
        "Reasoning tokens, which providers count as output tokens.",
    )
    cache_write_per_million = _own_price(
        "cache write",
        "Tokens that the provider wrote to its cache (Anthropic: for five minutes).",
    )
    cache_write_1h_per_million = _own_price(
        "cache write, one hour",
        "Tokens that the provider wrote to its cache for an hour.",
        "same as other cache writes",
    )
    audio_input_per_million = _own_price("audio input", "Audio tokens in the prompt.")
    audio_output_per_million = _own_price("audio output", "Audio tokens in the answer.")
    source = models.CharField(
        max_length=40,
        choices=[(CATALOGUE, "genai-prices catalogue"), (OPERATOR, "Operator")],
        default=OPERATOR,
        help_text="While it is valid, an operator's price overrides the catalogue's.",
    )
    source_version = models.CharField(
        max_length=40, blank=True, help_text="Version of the catalogue."
    )
    valid_from = models.DateField(
        null=True, blank=True, help_text="First day (UTC). Empty: no start."
    )
    valid_until = models.DateField(
        null=True,
        blank=True,
        help_text="First day (UTC) on which the price is no longer valid. Empty: no end.",
    )
    fetched_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["model", "-source", "-valid_from"]
        verbose_name = "price"
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_until__isnull=True)
                | Q(valid_from__lt=F("valid_until")),
                name="price_ends_after_it_starts",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model.name}: {self.input_per_million} / {self.output_per_million} USD"

    def as_value(self) -> PriceValue:
        return PriceValue(
            input_per_million=int(self.input_per_million * 1_000_000_000),
            output_per_million=int(self.output_per_million * 1_000_000_000),
            per_request=int(self.per_request * 1_000_000_000),
            **{of: _nano(getattr(self, column)) for column, of in PART_PRICES.items()},
            source=self.source,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
        )


def _nano(dollars: Decimal | None) -> int | None:
    return None if dollars is None else int(dollars * 1_000_000_000)


def price_order(row: ModelPrice) -> tuple[bool, int, int]:
    """The sort key of prices: operator's prices first, then later starts first, prices without a
    start last. The first valid price is used."""
    begins = row.valid_from.toordinal() if row.valid_from else 0
    return (row.source != ModelPrice.OPERATOR, -begins, -row.pk)
