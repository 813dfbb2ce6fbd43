"""Variables of every template."""

from django.conf import settings
from django.http import HttpRequest


def simulated(request: HttpRequest) -> dict[str, bool]:
    """Whether the numbers come from the demonstration; every page then says so."""
    return {"simulated": settings.DEMONSTRATION}
