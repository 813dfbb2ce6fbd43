"""Login attempts, stored to slow down password guessing."""

from django.db import models


class LoginAttempt(models.Model):
    """One attempt. It counts as failed until the password is verified."""

    class Result(models.TextChoices):
        FAILED = "failed", "Wrong name or password"
        SUCCEEDED = "succeeded", "Logged in"

    at = models.DateTimeField()
    account = models.CharField(max_length=64, help_text="A keyed hash of the name as typed.")
    username = models.CharField(
        max_length=150,
        blank=True,
        help_text="Only for existing accounts, because users sometimes type passwords into this "
        "field.",
    )
    address = models.CharField(
        max_length=64, help_text="The client's address; the first 64 bits of an IPv6 address."
    )
    result = models.CharField(max_length=10, choices=Result.choices, default=Result.FAILED)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = "login attempt"
        indexes = [
            models.Index(fields=["account", "at"], name="login_account_at"),
            models.Index(fields=["address", "at"], name="login_address_at"),
        ]

    def __str__(self) -> str:
        return f"{self.username or 'unknown name'} from {self.address}: {self.result}"
