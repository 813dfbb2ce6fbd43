"""What the roles were given, so that what an administrator takes away stays away."""

from django.db import models


class OfferedPermission(models.Model):
    """A permission that `seed` has given a role once. It is never given again."""

    role = models.CharField(max_length=150)
    codename = models.CharField(max_length=100)

    class Meta:
        ordering = ["role", "codename"]
        constraints = [
            models.UniqueConstraint(fields=["role", "codename"], name="permission_offered_once")
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.codename}"
