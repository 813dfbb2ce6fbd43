"""Limits how often a key may call; gateway calls count towards the same limit."""

from typing import TYPE_CHECKING

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from experiments.limits.api_keys import Caller
from experiments.limits.budgets import count_request

if TYPE_CHECKING:  # the framework imports this module before that one is complete
    from rest_framework.views import APIView

MINUTE = 60


class KeyThrottle(BaseThrottle):
    """The key's own limit, else API_KEY_REQUESTS_PER_MINUTE; 0 means no limit."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        caller: Caller | None = getattr(request, "user", None)
        return caller is None or count_request(caller.key, timezone.now())

    def wait(self) -> float:
        now = timezone.now()
        return MINUTE - now.second - now.microsecond / 1e6
