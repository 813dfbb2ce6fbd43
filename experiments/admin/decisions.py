"""Decisions, read-only: a list that is fast with millions of rows, and a page that explains."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from experiments.admin.base import PageAdmin, ReadOnly, TabularInline
from experiments.admin.decision_filters import (
    REASONS,
    DomainFilter,
    ExperimentFilter,
    FallbackFilter,
    MethodFilter,
    ModelFilter,
    ReasonFilter,
    TimeFilter,
)
from experiments.admin.paging import BoundedPaginator, NewestFirst
from experiments.decisions import explanation
from experiments.decisions.attempt_changes import changes_of
from experiments.decisions.replay_check import check_replay
from experiments.formatting import comparison, dollars, plain_dollars
from experiments.models import Attempt, Decision, Feedback, Outcome
from experiments.storage.unit_hash import hash_unit

REPLAY = "replay"
ROWS = "admin/experiments/decision/rows.html"


class DecisionList(NewestFirst):
    indexed = ("domain", "experiment")

    def needs_scan(self) -> bool:
        """Ids have an index; units and requests have none."""
        if not self.query:
            return super().needs_scan()
        is_narrowed = any(self.get_filters_params().get("time", ()))
        return _as_id(self.query) is None and not is_narrowed


class OutcomeInline(ReadOnly, TabularInline):
    model = Outcome
    template = ROWS
    extra = 0
    fields = ["occurred_at", "success", "input_tokens", "output_tokens", "latency_ms"]
    fields += ["cost_usd", "error"]
    readonly_fields = ["cost_usd"]

    @admin.display(description="cost")
    def cost_usd(self, row: Outcome) -> str:
        return _money(row.cost)


class AttemptInline(ReadOnly, TabularInline):
    """The model calls of the gateway, in order."""

    model = Attempt
    template = ROWS
    extra = 0
    fields = ["number", "called", "started", "first_token", "ended", "status_shown", "tokens"]
    fields += ["cost_usd", "error", "changed"]
    readonly_fields = ["called", "started", "first_token", "ended", "status_shown", "tokens"]
    readonly_fields += ["cost_usd", "changed"]
    ordering = ["number"]

    @admin.display(description="model, endpoint")
    def called(self, row: Attempt) -> str:
        return f"{row.model}, {row.endpoint}{' (fallback)' if row.is_fallback else ''}"

    @admin.display(description="started, UTC")
    def started(self, row: Attempt) -> str:
        return f"{row.started_at:%H:%M:%S.%f}"[:-3]

    @admin.display(description="first token, ms")
    def first_token(self, row: Attempt) -> str:
        return "none" if row.first_token_ms is None else f"{row.first_token_ms:,.0f}"

    @admin.display(description="end, ms")
    def ended(self, row: Attempt) -> str:
        return f"{row.ended_ms:,.0f}"

    @admin.display(description="status")
    def status_shown(self, row: Attempt) -> str:
        http = f" ({row.http_status})" if row.http_status and row.http_status != 200 else ""
        return ("✓ ok" if row.status == "ok" else f"⚠ {row.status.replace('_', ' ')}") + http

    @admin.display(description="tokens in / out")
    def tokens(self, row: Attempt) -> str:
        if row.input_tokens is None:
            return "none"
        parts = [f"{row.input_tokens:,} / {row.output_tokens:,}"]
        parts += [f"{row.cached_tokens:,} cached"] if row.cached_tokens else []
        parts += [f"{row.cache_writes:,} written to the cache"] if row.cache_writes else []
        parts += [f"{row.reasoning_tokens:,} reasoning"] if row.reasoning_tokens else []
        audio = (row.input_audio_tokens or 0) + (row.output_audio_tokens or 0)
        parts += [f"{audio:,} audio"] if audio else []
        return ", ".join([*parts, *(["estimated"] if row.estimated else [])])

    @admin.display(description="changed parameters")
    def changed(self, row: Attempt) -> str:
        return "; ".join(changes_of(row)) or "none"

    @admin.display(description="cost")
    def cost_usd(self, row: Attempt) -> str:
        return _money(row.cost)


class FeedbackInline(ReadOnly, TabularInline):
    model = Feedback
    template = ROWS
    extra = 0
    fields = ["metric", "value", "source", "comment", "occurred_at"]
    ordering = ["metric", "source"]


@admin.register(Decision)
class DecisionAdmin(ReadOnly, PageAdmin):
    list_display = ["made", "domain", "model", "why", "score_shown", "cost_shown", "saving_shown"]
    list_filter = [
        TimeFilter,
        DomainFilter,
        MethodFilter,
        ModelFilter,
        ReasonFilter,
        FallbackFilter,
        ExperimentFilter,
    ]
    search_fields = ["id"]
    search_help_text = "A complete decision id, unit id or request id."
    sortable_by = ()
    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    inlines = [OutcomeInline, AttemptInline, FeedbackInline]
    fieldsets = [
        (
            "As stored",
            {
                "classes": ["collapse"],
                "fields": [
                    "id",
                    "created_at",
                    "revision",
                    "unit_hash",
                    "request_id",
                    "latency_us",
                    "epsilon",
                    "propensity",
                    "propensity_given_arm",
                    "detail",
                ],
            },
        )
    ]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        """Model calls only if the gateway made some."""
        if obj is not None and obj.attempts.exists():
            return list(self.inlines)
        return [inline for inline in self.inlines if inline is not AttemptInline]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DecisionList]:
        return DecisionList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The list does not load `detail`, the largest part of a row."""
        rows = super().get_queryset(request)
        is_list = getattr(request.resolver_match, "url_name", "").endswith("_changelist")
        return rows.defer("detail", "text") if is_list else rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if found := _as_id(term):
            return queryset.filter(id=found), False
        return queryset.filter(Q(unit_hash=hash_unit(term)) | Q(request_id=term)), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if row is not None and self.has_view_permission(request, row):
            context = {
                "sentence": explanation.summary(row),
                "explanation_steps": explanation.steps(row),
                "replay": check_replay(row) if REPLAY in request.GET else None,
            }
        context |= {"title": "A decision", **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="made, UTC")
    def made(self, row: Decision) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="why")
    def why(self, row: Decision) -> str:
        if row.fallback:
            return f"⚠ {row.fallback.replace('_', ' ')}"
        if row.score is not None:
            return "score"  # the next column shows it
        return REASONS.get(row.reason, row.reason.replace("_", " "))

    @admin.display(description="score")
    def score_shown(self, row: Decision) -> str:
        if row.score is None or row.threshold is None:
            return "none"
        return " ".join(comparison(row.score, row.threshold))

    @admin.display(description="cost, USD per 1,000")
    def cost_shown(self, row: Decision) -> str:
        return "unpriced" if row.cost is None else _per_thousand(row.cost)

    @admin.display(description="saving, USD per 1,000")
    def saving_shown(self, row: Decision) -> str:
        if row.cost is None or row.cost_baseline is None:
            return "unpriced"
        return _per_thousand(row.cost_baseline - row.cost)


def _as_id(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term.strip())
    except ValueError:
        return None


def _per_thousand(nano: int) -> str:
    """The same precision in the whole column."""
    return plain_dollars(1000 * nano)


def _money(nano: int | None) -> str:
    return "unpriced" if nano is None else dollars(nano)
