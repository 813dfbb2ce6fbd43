"""URLs of the REST API, without a trailing slash."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from experiments.api.base import NothingHereView
from experiments.api.experiment_urls import urlpatterns as experiment_patterns
from experiments.api.flags import FlagView, KillSwitchView
from experiments.api.lists import DomainsView, FlagsView, ModelsView
from experiments.api.outcomes import FeedbackView, OutcomeView
from experiments.api.reports import RoutingView, SavingsView
from experiments.api.routing import RouteBatchView, RouteView, StoredDecisionView

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("v1/route", RouteView.as_view()),
    path("v1/route/batch", RouteBatchView.as_view()),
    path("v1/decisions/<uuid:decision_id>", StoredDecisionView.as_view()),
    path("v1/decisions/<uuid:decision_id>/outcome", OutcomeView.as_view()),
    path("v1/feedback", FeedbackView.as_view()),
    path("v1/domains", DomainsView.as_view()),
    path("v1/models", ModelsView.as_view()),
    path("v1/flags", FlagsView.as_view()),
    path("v1/flags/<slug:key>", FlagView.as_view()),
    path("v1/kill-switch", KillSwitchView.as_view()),
    path("v1/reports/savings", SavingsView.as_view()),
    path("v1/reports/routing", RoutingView.as_view()),
    *experiment_patterns,
    re_path("^v1/", NothingHereView.as_view()),
]
