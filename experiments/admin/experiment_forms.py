"""The forms of an experiment, its arms and its metrics."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper

from experiments.admin.base import TabularInline
from experiments.admin.forms import ConfigurationForm, InlineFormSet, offer_useful_routers
from experiments.core.bucketing import weights_problem
from experiments.core.policy import Method
from experiments.models import Arm, ExperimentMetric, Metric
from experiments.models.experiments import BUILT_IN_METRICS

FIRST_ARMS = [
    {"name": "control", "is_control": True, "method": Method.ALWAYS_STRONG, "weight": 0.5},
    {"name": "treatment", "method": Method.ROUTELLM, "weight": 0.5},
]
FIRST_METRICS = [
    {"metric": "cost", "role": "primary"},
    {"metric": "quality", "role": "guardrail", "margin": 0.02},
]


class ExperimentForm(ConfigurationForm):
    class Meta:
        widgets = {"hypothesis": forms.Textarea(attrs={"rows": 2, "cols": 60})}


class PrefilledForm(forms.ModelForm):  # type: ignore[type-arg]
    """The rows that a new experiment starts with are saved also if they are unchanged."""

    def has_changed(self) -> bool:
        return super().has_changed() or (self.instance.pk is None and bool(self.initial))


class ArmForm(PrefilledForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_useful_routers(self)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if bool(cleaned.get("strong_model")) != bool(cleaned.get("weak_model")):
            self.add_error(
                "strong_model", "Choose both models of the pair, or neither for the domain's pair."
            )
        if cleaned.get("method") == Method.ROUTELLM and not self.errors:
            if "router" in self.fields and cleaned.get("router") is None:
                self.add_error("router", "RouteLLM needs this.")
            given = (cleaned.get("threshold"), cleaned.get("target_share"))
            if "threshold" in self.fields and all(one is None for one in given):
                self.add_error("threshold", "RouteLLM needs a threshold or a target strong share.")
        return cleaned


class ArmFormSet(InlineFormSet):
    def clean(self) -> None:
        super().clean()
        kept = [
            form
            for form in self.forms
            if form not in self.deleted_forms and getattr(form, "cleaned_data", None)
        ]
        weights = [form.cleaned_data.get("weight") for form in kept]
        if not weights or any(self.errors) or any(weight is None for weight in weights):
            return
        if problem := weights_problem([float(weight) for weight in weights if weight is not None]):
            raise forms.ValidationError(problem)


class MetricForm(PrefilledForm):
    metric = forms.ChoiceField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = Metric.objects.values_list("name", flat=True)
        names = [*BUILT_IN_METRICS, *own]
        if self.instance.metric and self.instance.metric not in names:
            names.append(self.instance.metric)
        field = self.fields.get("metric")
        if isinstance(field, forms.ChoiceField):
            field.choices = [(name, name.replace("_", " ")) for name in names]


class ArmInline(TabularInline):
    model = Arm
    form = ArmForm
    formset = ArmFormSet
    extra = 0
    fields = [
        "name",
        "is_control",
        "weight",
        "method",
        "router",
        "threshold",
        "target_share",
        "strong_model",
        "weak_model",
        "epsilon",
        "between",
    ]
    verbose_name_plural = "policies compared"

    def formfield_for_dbfield(self, *args: Any, **kwargs: Any) -> Any:
        """Without the four icons next to each choice: a policy must fit in one line."""
        field = super().formfield_for_dbfield(*args, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field


class MetricInline(TabularInline):
    model = ExperimentMetric
    form = MetricForm
    extra = 0
    fields = ["metric", "role", "margin"]
    verbose_name_plural = "metrics"
