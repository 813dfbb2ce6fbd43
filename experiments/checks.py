"""System checks: wrong settings are found by `manage.py check`, with what to do."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

NOT_NEGATIVE = ("POLICY_REFRESH_SECONDS", "DECISION_RETENTION_DAYS", "API_KEY_REQUESTS_PER_MINUTE")


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    problems: list[CheckMessage] = []
    if not settings.SECRET_KEY:
        problems.append(
            Error(
                "SECRET_KEY is not set.",
                hint="Run `make serve`, which writes .env, or set SECRET_KEY yourself.",
                id="switchyard.E001",
            )
        )
    problems += [
        Error(f"{name} is negative.", hint="Give 0 or more.", id="switchyard.E002")
        for name in NOT_NEGATIVE
        if getattr(settings, name) < 0
    ]
    return problems
