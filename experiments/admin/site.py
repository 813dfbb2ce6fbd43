"""The admin site: its pages by what they are for."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from experiments.core.policy import MASTER_FLAG

GROUPS = {
    "Routing": ("Flag", "Domain", "LanguageModel", "ProviderEndpoint", "Router", "RoutingSettings"),
    "Proof": ("Experiment", "Metric", "Rollout", "OutcomeSet"),
    "History": ("PolicyRevision", "Decision", "PeriodicJob"),
    "Access": ("APIKey", "User", "Group"),
}


class SwitchyardAdminSite(AdminSite):
    site_header = "Switchyard"
    site_title = "Switchyard"
    index_title = "Configuration"

    index_template = "admin/experiments/index.html"

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """With what is in use now. Two queries more."""
        from experiments.models import Flag, PolicyRevision  # noqa: PLC0415 - made before them

        context = {
            "master": Flag.objects.filter(key=MASTER_FLAG).first(),
            "newest": PolicyRevision.objects.defer("document", "difference").first(),
        }
        return super().index(request, {**context, **(extra_context or {})})

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """Grouped by purpose, in the order one needs them; what has no group comes last."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        models = {model["object_name"]: model for app in apps for model in app["models"]}
        sections = [_section(title, names, models) for title, names in GROUPS.items()]
        sections.append(_section("More", tuple(models), models))
        return [section for section in sections if section["models"]]


def _section(title: str, names: tuple[str, ...], models: dict[str, Any]) -> dict[str, Any]:
    """Takes its models out of `models`. `app_label` also is the id and class in the templates."""
    found = [models.pop(name) for name in names if name in models]
    return {
        "name": title,
        "app_label": title.lower(),
        "app_url": f"{reverse('admin:index')}#{title.lower()}",
        "has_module_perms": True,
        "models": found,
    }
