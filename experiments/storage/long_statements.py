"""Commands read and write for as long as it takes; only requests are in a hurry."""

from django.conf import settings


def allow_long_statements() -> None:
    """No limit on statements and locks in this process. Call it before anything connects."""
    limits = settings.DATABASES["default"].get("OPTIONS", {}).get("limits", {})
    for name in ("statement", "lock"):
        limits.pop(name, None)
