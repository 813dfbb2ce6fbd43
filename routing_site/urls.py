"""URLs of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from experiments.api import health
from experiments.dashboards.failures import server_error

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/", include("experiments.api.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("", include("experiments.dashboards.urls")),
]

handler500 = server_error
