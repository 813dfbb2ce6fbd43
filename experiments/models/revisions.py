"""Policy revisions: the history of the whole configuration."""

from django.conf import settings
from django.db import models


class PolicyRevision(models.Model):
    """One immutable state of the configuration, with what changed since the one before."""

    number = models.PositiveIntegerField(primary_key=True)
    content_hash = models.CharField(max_length=64)
    document = models.JSONField()
    difference = models.JSONField(default=list)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    author_name = models.CharField(max_length=150)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        verbose_name = "revision"

    def __str__(self) -> str:
        return f"Revision {self.number}"
