"""How often a key may ask: a count for each minute, in Django's cache."""

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from experiments.api.authentication import Caller

if TYPE_CHECKING:  # the framework imports this module before that one is complete
    from rest_framework.views import APIView

MINUTE = 60


class KeyThrottle(BaseThrottle):
    """The key's own limit, else API_KEY_REQUESTS_PER_MINUTE; 0 is no limit."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        caller: Caller | None = getattr(request, "user", None)
        if caller is None:
            return True
        limit = caller.key.requests_per_minute
        if limit is None:
            limit = settings.API_KEY_REQUESTS_PER_MINUTE
        return not limit or self._count(caller.key.pk) <= limit

    def wait(self) -> float:
        return MINUTE - time.time() % MINUTE

    def _count(self, key_id: int) -> int:
        name = f"requests:{key_id}:{int(time.time() // MINUTE)}"
        cache.add(name, 0, 2 * MINUTE)
        return cache.incr(name)
