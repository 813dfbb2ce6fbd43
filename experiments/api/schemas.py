"""Schemas of requests and responses, for the OpenAPI document only.

`readers` and `requests` read requests, `payloads` writes responses: for a decision every field
of a serializer costs time. Tests compare these schemas with the actual data."""

from typing import Any

from rest_framework import serializers as s

from experiments.api.readers import MAX_NAME, MAX_TOKENS

NULLABLE: dict[str, Any] = {"required": False, "allow_null": True}
MONEY = "US dollars as a decimal string; null where a price is unknown."


class Text(s.CharField):
    """A string that is not blank."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_length": 1, "max_length": MAX_NAME, **options})


class Texts(s.ListField):
    child = s.CharField(max_length=MAX_NAME)

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 100, **NULLABLE, **options})


class OutcomeRequest(s.Serializer[Any]):
    input_tokens = s.IntegerField(min_value=0, max_value=MAX_TOKENS, **NULLABLE)
    output_tokens = s.IntegerField(min_value=0, max_value=MAX_TOKENS, **NULLABLE)
    latency_ms = s.FloatField(min_value=0, max_value=1e9, **NULLABLE)
    success = s.BooleanField(**NULLABLE)
    error = Text(max_length=500, **NULLABLE)
    occurred_at = s.DateTimeField(help_text="Default: the time of arrival.", **NULLABLE)


class Rating(s.Serializer[Any]):
    decision_id = s.UUIDField()
    metric = s.RegexField(r"^[a-z][a-z0-9_]*$", max_length=60)
    value = s.FloatField(help_text="A number; true and false count as 1 and 0.")
    source = Text(  # type: ignore[assignment]
        max_length=60,
        help_text="Who rates: human (the default), or a judge: judge, llm-judge, gpt-4.1.",
        **NULLABLE,
    )
    comment = Text(max_length=2000, **NULLABLE)
    occurred_at = s.DateTimeField(help_text="Default: the time of arrival.", **NULLABLE)


class RatingList(s.Serializer[Any]):
    items = s.ListField(child=Rating(), min_length=1, max_length=256)


class DomainFlag(s.Serializer[Any]):
    key = s.CharField()
    percentage = s.FloatField()


class DomainPolicy(s.Serializer[Any]):
    method = s.CharField()
    router = s.CharField(allow_null=True)
    threshold = s.FloatField(allow_null=True)
    strong_model = s.CharField(allow_null=True, help_text="Null: the default pair.")
    weak_model = s.CharField(allow_null=True)
    epsilon = s.FloatField()


class Domain(s.Serializer[Any]):
    name = s.CharField()
    label = s.CharField()  # type: ignore[assignment]
    description = s.CharField()
    flag = DomainFlag(allow_null=True)
    policy = DomainPolicy()
    preferred_models = s.ListField(child=s.CharField())
    required_capabilities = s.ListField(child=s.CharField())
    required_certifications = s.ListField(child=s.CharField())
    min_accuracy_score = s.FloatField()
    min_confidence = s.FloatField()


class ModelPrice(s.Serializer[Any]):
    currency = s.CharField()
    input_per_million = s.CharField()
    output_per_million = s.CharField()
    per_request = s.CharField()
    source = s.CharField()  # type: ignore[assignment]


class Model(s.Serializer[Any]):
    name = s.CharField()
    provider = s.CharField()
    is_available = s.BooleanField()
    context_window = s.IntegerField()
    max_output_tokens = s.IntegerField(allow_null=True)
    tasks = s.ListField(child=s.CharField())
    capabilities = s.ListField(child=s.CharField())
    languages = s.ListField(child=s.CharField())
    domains = s.ListField(child=s.CharField())
    certifications = s.ListField(child=s.CharField())
    accuracy_score = s.FloatField()
    speed_rating = s.CharField()
    price = ModelPrice(allow_null=True, help_text="The current price; null if it is unknown.")


class Flag(s.Serializer[Any]):
    key = s.CharField()
    kind = s.ChoiceField(choices=["master", "domain", "switch"])
    domain = s.CharField(allow_null=True)
    percentage = s.FloatField()
    description = s.CharField()
    allowed_units = s.IntegerField(help_text="Number of units for which it is always on.")
    denied_units = s.IntegerField(help_text="Number of units for which it is always off.")


class FlagEdit(s.Serializer[Any]):
    percentage = s.FloatField(
        min_value=0, max_value=100, help_text="Of the units; 0 or 100 for a switch. Two digits."
    )
    reason = Text(max_length=500, help_text="For the history.", **NULLABLE)


class KillSwitch(s.Serializer[Any]):
    reason = Text(max_length=500, help_text="For the history.", **NULLABLE)


class Page(s.Serializer[Any]):
    next = s.CharField(allow_null=True, help_text="The address of the next page.")
    previous = s.CharField(allow_null=True)


class DomainPage(Page):
    results = Domain(many=True)


class ModelPage(Page):
    results = Model(many=True)


class FlagPage(Page):
    results = Flag(many=True)


class Alternative(s.Serializer[Any]):
    """Another policy over the decisions that can be compared with it."""

    decisions = s.IntegerField()
    cost = s.CharField(help_text="What it would have cost.")
    routed = s.CharField(help_text="What the same decisions cost as made.")
    saving = s.CharField(help_text="cost minus routed; negative where routing costs more.")


class Alternatives(s.Serializer[Any]):
    always_strong = Alternative()
    always_weak = Alternative()
    random = Alternative(help_text="A random router with the same strong share in each domain.")


class SavingsLine(s.Serializer[Any]):
    domain = s.CharField(allow_null=True, help_text="Null: all of them.")
    decisions = s.IntegerField()
    pruned = s.IntegerField(help_text="Decisions of which only totals are kept.")
    priced = s.IntegerField(help_text="Decisions with a price; savings count only these.")
    actual = s.IntegerField(help_text="Priced with the tokens an outcome reported.")
    estimated = s.IntegerField(help_text="Priced with expected tokens.")
    cost = s.CharField()
    baseline = s.CharField()
    saving = s.CharField(help_text="baseline minus cost.")
    strong_share = s.FloatField(allow_null=True, help_text="Of those answered by a pair.")
    against = Alternatives()


class Savings(s.Serializer[Any]):
    since = s.DateTimeField()
    until = s.DateTimeField()
    currency = s.CharField()
    baseline = s.CharField(help_text="The current baseline of savings.")
    total = SavingsLine()
    domains = SavingsLine(many=True)


class Latency(s.Serializer[Any]):
    timed = s.IntegerField()
    mean = s.FloatField(allow_null=True)
    p50 = s.FloatField(allow_null=True)
    p95 = s.FloatField(allow_null=True)
    p99 = s.FloatField(allow_null=True)


class Routing(s.Serializer[Any]):
    since = s.DateTimeField()
    until = s.DateTimeField()
    decisions = s.IntegerField()
    pruned = s.IntegerField(help_text="Without reason, fallback and percentiles.")
    methods = s.DictField(child=s.IntegerField())
    tiers = s.DictField(child=s.IntegerField())
    models = s.DictField(child=s.IntegerField())
    reasons = s.DictField(child=s.IntegerField())
    fallbacks = s.DictField(child=s.IntegerField())
    router_failures = s.IntegerField()
    latency_ms = Latency()
