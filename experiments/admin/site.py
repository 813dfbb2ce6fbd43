"""The admin site, with its pages grouped by purpose."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from experiments.core.policy import MASTER_FLAG

GROUPS = {
    "Routing": (
        *("Flag", "Domain", "LanguageModel", "ProviderEndpoint", "ParameterRule"),
        *("LearnedParameter", "ModelAlias", "Router", "RoutingSettings"),
    ),
    "Proof": ("Experiment", "Metric", "Rollout", "OutcomeSet"),
    "History": ("PolicyRevision", "Decision", "PeriodicJob"),
    "Access": ("APIKey", "User", "Group", "LoginAttempt"),
}


class LoginForm(AdminAuthenticationForm):
    """Shows how long to wait after too many failed logins."""

    def get_invalid_login_error(self) -> ValidationError:
        refused = getattr(self.request, "login_refused", None)
        if refused is not None:
            return ValidationError(str(refused), code="too_many_failures")
        return super().get_invalid_login_error()


class SwitchyardAdminSite(AdminSite):
    login_form = LoginForm
    site_header = "Switchyard"
    site_title = "Switchyard"
    index_title = "Configuration"

    index_template = "admin/experiments/index.html"

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """429 with Retry-After after too many failed logins."""
        response = super().login(request, extra_context)
        if (refused := getattr(request, "login_refused", None)) is not None:
            response.status_code = 429
            response["Retry-After"] = str(refused.retry_after)
        return response

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Adds the state of routing and the current revision. Two more queries."""
        from experiments.models import Flag, PolicyRevision  # noqa: PLC0415 - the site is created before the models

        context = {
            "master": Flag.objects.filter(key=MASTER_FLAG).first(),
            "newest": PolicyRevision.objects.defer("document", "difference").first(),
        }
        return super().index(request, {**context, **(extra_context or {})})

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """Grouped by purpose; pages without a group are last."""
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        models = {model["object_name"]: model for app in apps for model in app["models"]}
        sections = [_section(title, names, models) for title, names in GROUPS.items()]
        sections.append(_section("More", tuple(models), models))
        return [section for section in sections if section["models"]]


def _section(title: str, names: tuple[str, ...], models: dict[str, Any]) -> dict[str, Any]:
    """Removes its models from `models`. `app_label` is also the id and class in the templates."""
    found = [models.pop(name) for name in names if name in models]
    return {
        "name": title,
        "app_label": title.lower(),
        "app_url": f"{reverse('admin:index')}#{title.lower()}",
        "has_module_perms": True,
        "models": found,
    }
