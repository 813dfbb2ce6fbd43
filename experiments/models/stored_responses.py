"""Responses that clients ask the gateway to keep."""

from django.db import models


class StoredResponse(models.Model):
    """One response and the conversation before it, encrypted. Only the key that made the call may
    read it. Rows are inserted and deleted, never updated."""

    response_id = models.CharField(max_length=100, primary_key=True)
    key_id = models.BigIntegerField()
    created_at = models.DateTimeField(db_index=True)
    sealed = models.TextField(help_text="Items and response, encrypted with SECRET_KEY.")

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "stored response"

    def __str__(self) -> str:
        return self.response_id
