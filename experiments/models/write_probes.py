"""Rows that are written to check that the database accepts writes."""

from django.db import models


class WriteProbe(models.Model):
    """Deleted in the transaction that stores it. `filling` fills a page of the database, so that a
    full disk is detected."""

    filling = models.TextField()

    def __str__(self) -> str:
        return f"Probe {self.pk}"
