"""The app, and the admin site it brings."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class ExperimentsConfig(AppConfig):
    name = "experiments"
    default = True
    verbose_name = "Switchyard"


class SwitchyardAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "experiments.admin.site.SwitchyardAdminSite"

    def ready(self) -> None:
        super().ready()
        from experiments.admin import registry  # noqa: F401, PLC0415 - registers the pages
