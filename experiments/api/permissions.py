"""What a key may do: each view names the scope it requires."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from experiments.api.authentication import caller_of
from experiments.limits.api_keys import HOW_TO_SEND
from experiments.models import Scope

if TYPE_CHECKING:  # the framework imports this module before that one is complete
    from rest_framework.views import APIView


class HasScope(BasePermission):
    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.user is None:
            raise NotAuthenticated(f"Send an API key as {HOW_TO_SEND}.")
        require(request, getattr(view, "scope", Scope.MANAGE))
        return True


def require(request: Request, scope: Scope) -> None:
    """Raises PermissionDenied, naming the scope, if the key does not have it."""
    if not caller_of(request).may(scope):
        raise PermissionDenied(
            f"This key lacks the scope '{scope}'. Add it in the admin, or use a key that has it."
        )
