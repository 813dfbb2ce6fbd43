"""Domains: their detection, their policy, and a form to try a prompt."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments.admin.base import ConfigurationAdmin, TabularInline
from experiments.admin.forms import (
    ConfigurationForm,
    InlineForm,
    InlineFormSet,
    LinesField,
    TextField,
    offer_useful_routers,
)
from experiments.core.detection import InvalidPatternError, compile_pattern
from experiments.core.policy import Method
from experiments.formatting import percentage
from experiments.models import Domain, DomainExample, Flag, LanguageModel

LONGEST_PROMPT = 100_000


class DomainForm(ConfigurationForm):
    keywords = LinesField(
        help_text="One per line. Words that the classic detector searches for; its confidence is "
        "the share of them found."
    )
    patterns = LinesField(
        help_text="One per line. Regular expressions (RE2, not case-sensitive) that the classic "
        "detector searches for."
    )
    preferred_models = LinesField(
        rows=4,
        help_text="One per line, best first. The models that the domain selector prefers, and that "
        "answer if the chosen model cannot.",
    )
    required_capabilities = LinesField(
        rows=3, help_text="One per line. Capabilities that a model needs to answer here."
    )
    required_certifications = LinesField(
        rows=3, help_text="One per line. Certifications that a model needs, such as HIPAA."
    )
    more_examples = LinesField(
        rows=4,
        label="Add example prompts",
        help_text="One per line. Prompts as users write them; the learned detector uses them from "
        "the next decision on. The known ones are at the end of the page.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_useful_routers(self)

    def clean_patterns(self) -> list[str]:
        problems = []
        for pattern in self.cleaned_data["patterns"]:
            try:
                compile_pattern(pattern)
            except InvalidPatternError as error:
                problems.append(str(error))
        if problems:
            raise forms.ValidationError(problems)
        return list(self.cleaned_data["patterns"])

    def clean_preferred_models(self) -> list[str]:
        names: list[str] = self.cleaned_data["preferred_models"]
        known = set(LanguageModel.objects.filter(name__in=names).values_list("name", flat=True))
        if unknown := [name for name in names if name not in known]:
            raise forms.ValidationError(
                f"Unknown model {_quoted(unknown)}. Register it under Models first, or correct its "
                "name."
            )
        return names

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("method") == Method.ROUTELLM:
            self._require("router", "RouteLLM needs this. Enter it, or choose another method.")
            if not cleaned.get("follows_target"):
                self._require("threshold", "Enter a threshold, or let it follow the target.")
        if bool(cleaned.get("strong_model")) != bool(cleaned.get("weak_model")):
            self.add_error(
                "strong_model", "Choose both models of the pair, or neither for the default pair."
            )
        return cleaned

    def _require(self, name: str, problem: str) -> None:
        if name in self.fields and name not in self.errors and self.cleaned_data.get(name) is None:
            self.add_error(name, problem)


class ExampleInline(TabularInline):
    model = DomainExample
    form = InlineForm
    formset = InlineFormSet
    extra = 0
    classes = ["collapse"]
    verbose_name_plural = "example prompts"
    formfield_overrides = {
        models.TextField: {
            "form_class": TextField,
            "widget": forms.Textarea(attrs={"rows": 1, "cols": 80}),
        }
    }


@admin.register(Domain)
class DomainAdmin(ConfigurationAdmin):
    section = "domains"
    form = DomainForm
    inlines = [ExampleInline]
    list_display = ["label", "rollout", "answered_by", "pair", "example_count", "kept"]
    search_fields = ["name", "label", "description"]
    list_select_related = ["router", "strong_model", "weak_model", "flag"]
    readonly_fields = ["calibrated_threshold", "resolved_share"]
    fieldsets = [
        (None, {"fields": ["name", "label", "description"]}),
        (
            "Policy",
            {
                "fields": [
                    "method",
                    "router",
                    "threshold",
                    "strong_model",
                    "weak_model",
                    "epsilon",
                    "between",
                ],
                "description": "Used while the domain's flag is on. If it is off, the domain "
                "selector chooses the model.",
            },
        ),
        (
            "Target",
            {
                "fields": [
                    "follows_target",
                    "target_kind",
                    "target_strong_share",
                    "target_value",
                    "resolved_share",
                    "calibrated_threshold",
                ],
                "description": "While it follows its target, the threshold moves by itself with "
                "the scores of recent prompts. The threshold above then counts only until the "
                "first prompts are scored.",
            },
        ),
        (
            "Detection",
            {"fields": ["more_examples", "min_confidence", "keywords", "patterns"]},
        ),
        (
            "Requirements of the domain selector",
            {
                "fields": [
                    "preferred_models",
                    "min_accuracy_score",
                    "required_capabilities",
                    "required_certifications",
                ],
            },
        ),
        ("Storage", {"fields": ["prompt_storage"]}),
        (
            "Shadow calls and their judge",
            {
                "fields": ["shadow_share", "rubric"],
                "description": "Until the call is made, for at most an hour, the prompt is "
                "stored encrypted, also if the domain stores no prompts. The judge and the "
                "daily budget are in the routing settings.",
            },
        ),
        (
            "Learning from this domain's traffic",
            {
                "fields": ["learning", "learning_budget", "learning_mode"],
                "description": "Needs the flag routellm_learning, and a judge in the routing "
                "settings.",
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = (
            super().get_queryset(request).annotate(examples_there=Count("examples"))
        )
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name cannot change: the flag's key and all stored decisions contain it."""
        return [*self.readonly_fields, "name"] if obj else list(self.readonly_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_general:
            return False
        return super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A domain's flag is deleted with it; `general` is protected."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        needed.discard(Flag._meta.verbose_name)
        protected += [
            f"{row}: this is the domain of all other prompts, so it cannot be deleted."
            for row in objs
            if row.is_general
        ]
        return found, counts, set() if protected else needed, protected

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        known = set(form.instance.examples.values_list("text", flat=True))
        DomainExample.objects.bulk_create(
            DomainExample(domain=form.instance, text=text)
            for text in form.cleaned_data["more_examples"]
            if text not in known
        )

    @admin.display(description="rollout", ordering="flag__percentage")
    def rollout(self, row: Domain) -> SafeString | str:
        flag = getattr(row, "flag", None)
        if flag is None:
            return "no flag yet"
        url = reverse("admin:experiments_flag_change", args=[flag.pk])
        return format_html('<a href="{}">{}</a>', url, percentage(float(flag.percentage)))

    @admin.display(description="answered by")
    def answered_by(self, row: Domain) -> str:
        if row.method != Method.ROUTELLM:
            return row.method.replace("_", " ")
        share = row.followed_share
        if share is not None:
            return f"{row.router or 'no router'} for {percentage(100 * share)} strong"
        threshold = "no threshold" if row.threshold is None else f"{row.threshold:.3f}"
        return f"{row.router or 'no router'} at {threshold}"

    @admin.display(description="stored of a prompt", ordering="prompt_storage")
    def kept(self, row: Domain) -> str:
        return {"none": "nothing", "features": "features", "text": "⚠ its text"}[row.prompt_storage]

    @admin.display(description="strong / weak")
    def pair(self, row: Domain) -> str:
        if row.strong_model and row.weak_model:
            return f"{row.strong_model} / {row.weak_model}"
        return "default pair"

    @admin.display(description="examples", ordering="examples_there")
    def example_count(self, row: Any) -> int:
        return int(row.examples_there)

    # Try a prompt

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<path:object_id>/try/",
            self.admin_site.admin_view(self.try_view),
            name="experiments_domain_try",
        )
        return [own, *super().get_urls()]

    def try_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Routes a prompt without storing it: with the detected domain, and with this domain."""
        domain = self.get_object(request, object_id)
        if not self.has_view_permission(request, domain):
            raise PermissionDenied
        if domain is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined,no-any-return]
                request, self.opts, object_id
            )
        # Imported late, because every command would load the embeddings.
        from experiments.routing.playground import Side, try_prompt  # noqa: PLC0415

        text = request.POST.get("prompt", "")[:LONGEST_PROMPT]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Try a prompt on {domain}",
            "opts": self.opts,
            "original": domain,
            "prompt": text,
            "trials": try_prompt(text, "", (Side(), Side(domain=domain.name)))
            if text.strip()
            else [],
            "is_empty": request.method == "POST" and not text.strip(),
        }
        return TemplateResponse(request, "admin/experiments/domain/try.html", context)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
