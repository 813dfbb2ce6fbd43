"""The frame around every page: rail, theme, log out."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import include, path

from experiments.templatetags.switchyard import RAIL, TABS


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


TABBED = {name for section in TABS.values() for name, _ in section} - {"chat"}
NAMES = sorted({name for name, _ in RAIL} | TABBED)
PAGES = [path(f"{name}/", page, name=name) for name in NAMES if name != "models"]
urlpatterns = [path("admin/", admin.site.urls), path("", include((PAGES, "dashboards")))]

pytestmark = pytest.mark.urls(__name__)


def base(section: str = "", user: User | AnonymousUser | None = None, tab: str = "") -> str:
    context = {"section": section, "tab": tab, "user": user or AnonymousUser()}
    return render_to_string("base.html", context)


def test_the_rail_has_its_pages_in_order() -> None:
    labels = re.findall(r'<li><a href="[^"]+"[^>]*>([^<]+)</a></li>', base())
    assert labels == [
        "Overview",
        "Domains",
        "Experiments",
        "Rollouts",
        "Decisions",
        "Lab",
        "Playground",
    ]


def test_only_the_current_page_is_lit() -> None:
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', base("rollouts")) == ["/rollouts/"]


def test_a_page_that_is_not_installed_is_left_out() -> None:
    assert "Models" not in base()


def test_a_section_with_several_pages_has_a_tab_for_each() -> None:
    html = base("domains", tab="cost_quality")
    tabs = re.findall(r'<li><a href="([^"]+)"([^>]*)>[^<]+</a></li>', html.split('class="tabs"')[1])
    assert tabs == [("/domains/", ""), ("/cost_quality/", ' aria-current="page"')]


@pytest.mark.parametrize("section", ["overview", "playground"])
def test_a_section_with_one_page_has_no_tabs(section: str) -> None:
    assert 'class="tabs"' not in base(section)


def test_the_theme_is_set_before_the_first_style_is_read() -> None:
    html = base()
    assert html.index("js/theme.js") < html.index("css/tokens.css")


@pytest.mark.parametrize(("is_staff", "count"), [(True, 1), (False, 0)])
def test_only_staff_are_shown_the_way_to_the_admin(is_staff: bool, count: int) -> None:
    user = User(username="nadia", is_staff=is_staff)
    assert base(user=user).count('<a href="/admin/">Admin</a>') == count


def test_every_user_can_log_out() -> None:
    assert 'action="/admin/logout/"' in base(user=User(username="nadia"))
    assert 'action="/admin/logout/"' not in base()
