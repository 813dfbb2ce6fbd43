"""System checks: what is missing is found by `manage.py check`, with what to do."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Settings that are there but wrong never come this far: reading them refuses them."""
    if settings.SECRET_KEY:
        return []
    return [
        Error(
            "SECRET_KEY is not set.",
            hint="Run `make serve`, which writes .env, or set SECRET_KEY yourself.",
            id="switchyard.E001",
        )
    ]
