"""Parts that all pages share: login, permission and rendering."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from experiments.dashboards.filters import BASELINES, RANGES, Filters

View = Callable[..., HttpResponseBase]
LIVE_SECONDS = 30
READ = "experiments.view_decision"


def page(permission: str = READ) -> Callable[[View], View]:
    """Requires a login and the permission; without it the page says who can grant it."""

    def decorated(view: View) -> View:
        @login_required
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perm(permission):
                return render(request, "pages/no_role.html", status=403)
            return view(request, *args, **kwargs)

        return checked

    return decorated


def show(
    request: HttpRequest,
    template: str,
    section: str,
    context: dict[str, Any],
    *,
    tab: str = "",
    filters: Filters | None = None,
    status: int = 200,
) -> HttpResponse:
    """A page of the `section` in the navigation, under its `tab` if the section has several. With
    `filters` it shows their controls, and refreshes while new data can arrive."""
    shared: dict[str, Any] = {"section": section, "tab": tab, "filters": filters}
    if filters is not None:
        live = filters.is_live(timezone.now())
        shared |= {"ranges": RANGES, "baselines": BASELINES, "live": LIVE_SECONDS if live else 0}
    return render(request, template, {**shared, **context}, status=status)
