"""Permissions that `seed` gave to roles, so that it does not give removed ones again."""

from django.db import models


class OfferedPermission(models.Model):
    """A permission that `seed` gave a role once and does not give again."""

    role = models.CharField(max_length=150)
    codename = models.CharField(max_length=100)

    class Meta:
        ordering = ["role", "codename"]
        constraints = [
            models.UniqueConstraint(fields=["role", "codename"], name="permission_offered_once")
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.codename}"
