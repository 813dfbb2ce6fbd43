"""The app, and the admin site it brings."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

TASKS = {
    "import_outcomes": "experiments.lab.imports.import_in_background",
    "score_outcomes": "experiments.lab.scores.score_in_background",
    "shadow_calls": "experiments.gateway.shadow_worker.work",
    "train_router": "experiments.lab.training.train_in_background",
}
"""The background tasks: name -> the function that does the work."""


class ExperimentsConfig(AppConfig):
    name = "experiments"
    default = True
    verbose_name = "Switchyard"

    def ready(self) -> None:
        from experiments.background.tasks import register  # noqa: PLC0415 - needs the models

        for name, function in TASKS.items():
            register(name, function)


class SwitchyardAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "experiments.admin.site.SwitchyardAdminSite"

    def ready(self) -> None:
        super().ready()
        from experiments.admin import registry  # noqa: F401, PLC0415 - registers the pages
