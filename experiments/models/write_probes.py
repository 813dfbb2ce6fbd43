"""Rows that are written to find out whether the database takes writes."""

from django.db import models


class WriteProbe(models.Model):
    """Deleted in the transaction that stores it. `filling` takes up a whole page of the database,
    so that a disk without room for one more is noticed."""

    filling = models.TextField()

    def __str__(self) -> str:
        return f"Probe {self.pk}"
