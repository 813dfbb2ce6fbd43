"""What every template may ask."""

from django.conf import settings
from django.http import HttpRequest


def simulated(request: HttpRequest) -> dict[str, bool]:
    """Whether the numbers are the demonstration's: every page says so then."""
    return {"simulated": settings.DEMONSTRATION}
