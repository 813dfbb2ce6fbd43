"""Flags: percentages edited in the list, with a preview, and the kill switch."""

from decimal import Decimal
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from experiments.admin.base import ConfigurationAdmin, TabularInline
from experiments.admin.forms import InlineForm, InlineFormSet
from experiments.admin.submits import ConfirmationRequired, PercentageChange, posted, submit_of
from experiments.core.policy import MASTER_FLAG
from experiments.formatting import percentage, plural
from experiments.models import Flag, FlagEntry
from experiments.rollouts.preview import RolloutPreview, preview
from experiments.storage.unit_hash import hash_unit

PREVIEWED = "_previewed"
NOT_KEPT = "only a hash of it is stored"


class EntryForm(InlineForm):
    """A unit's id is entered and never shown again."""

    unit_id = forms.CharField(
        max_length=500,
        strip=False,
        help_text="Exactly as applications send it. Only a keyed hash of it is stored.",
    )

    class Meta:
        model = FlagEntry
        fields = ["kind", "label"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            field = self.fields["unit_id"]
            field.disabled, field.required = True, False
            field.widget.attrs["placeholder"] = NOT_KEPT

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.instance.pk and cleaned.get("unit_id"):
            self.instance.unit_hash = hash_unit(cleaned["unit_id"])
        return cleaned


class EntryFormSet(InlineFormSet):
    def clean(self) -> None:
        """Refuses a unit that is listed twice, and names its label, which the database cannot."""
        super().clean()
        listed: dict[str, str] = {}
        for form in self.forms:
            if not form.is_valid() or form in self.deleted_forms or not form.instance.unit_hash:
                continue
            entry: FlagEntry = form.instance
            if entry.unit_hash in listed:
                form.add_error(
                    "unit_id", f"This unit is already listed as “{listed[entry.unit_hash]}”."
                )
            listed[entry.unit_hash] = entry.label


class EntryInline(TabularInline):
    model = FlagEntry
    form = EntryForm
    formset = EntryFormSet
    fields = ["kind", "label", "unit_id"]
    extra = 0


class Preview(NamedTuple):
    """One changed percentage and its effect."""

    key: str
    before: str
    after: str
    sentence: str
    counts: RolloutPreview | None


@admin.register(Flag)
class FlagAdmin(ConfigurationAdmin):
    section = "flags"
    inlines = [EntryInline]
    list_display = ["key", "percentage", "kind", "description"]
    list_editable = ["percentage"]
    search_fields = ["key", "description"]
    list_select_related = ["domain"]
    readonly_fields = ["key", "kind"]
    fieldsets = [(None, {"fields": ["key", "kind", "percentage", "description"]})]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A flag is built in, or is deleted with its domain."""
        return False

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The master flag is first."""
        return [Case(When(kind=Flag.Kind.MASTER, then=0), default=1), "kind", "key"]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {
            "master": Flag.objects.filter(key=MASTER_FLAG).first(),
            "may_change": self.has_change_permission(request),
        }
        return super().changelist_view(request, context)

    # A changed percentage is previewed first

    def save_model(self, request: HttpRequest, obj: Flag, form: Any, change: bool) -> None:
        before = form.initial.get("percentage", obj.percentage)
        super().save_model(request, obj, form, change)
        if before != obj.percentage:
            moved = PercentageChange(obj, before, obj.percentage)
            submit_of(request).percentages.append(moved)

    def before_publishing(self, request: HttpRequest) -> None:
        changes = submit_of(request).percentages
        if changes and PREVIEWED not in request.POST:
            raise ConfirmationRequired(self._preview(request, changes).render())

    def _preview(self, request: HttpRequest, changes: list[PercentageChange]) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Preview",
            "opts": self.opts,
            "previews": [_preview_of(change) for change in changes],
            "fields": list(posted(request)),
            "previewed": PREVIEWED,
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/experiments/flag/preview.html", context)

    # The kill switch

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "kill-switch/",
            self.admin_site.admin_view(require_POST(self.kill_switch)),
            name="experiments_flag_kill_switch",
        )
        return [own, *super().get_urls()]

    def kill_switch(self, request: HttpRequest) -> HttpResponseBase:
        """Switches routing off for all units immediately, without a preview, for emergencies."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        answer: HttpResponseBase = self.in_revision(
            request, lambda: self._switch_off(request), note="Kill switch"
        )
        return answer

    def _switch_off(self, request: HttpRequest) -> HttpResponseBase:
        master = Flag.objects.get(key=MASTER_FLAG)
        master.percentage = Decimal(0)
        master.save()
        self.log_change(request, master, "Kill switch")
        text = "RouteLLM is off for all units: every prompt goes to the domain selector."
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:experiments_flag_changelist"))


def _preview_of(change: PercentageChange) -> Preview:
    flag: Flag = change.flag
    before, after = percentage(float(change.before)), percentage(float(change.after))
    if flag.kind == Flag.Kind.SWITCH:
        sentence = (
            f"This switches it {'on' if flag.is_on_for_all else 'off'} for all units at once."
        )
        return Preview(flag.key, before, after, sentence, None)
    counts = preview(flag, int(change.before * 100), int(change.after * 100))
    return Preview(flag.key, before, after, _sentence(counts), counts)


def _sentence(counts: RolloutPreview) -> str:
    if not counts.units:
        return "No stored decision has used this flag yet, so the effect cannot be counted."
    units = plural(counts.units, "unit")
    if not counts.turn_on and not counts.turn_off:
        return f"Of the last {units}, none would change."
    return (
        f"Of the last {units}, {counts.turn_on:,} would turn on and "
        f"{counts.turn_off:,} would turn off."
    )
