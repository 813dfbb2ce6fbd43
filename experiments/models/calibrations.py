"""Applied calibrations, with the expected strong share."""

from django.db import models


class Calibration(models.Model):
    """An applied threshold of one domain, the reference for drift.

    `scores` is the histogram (`SCORE_BINS` bins) of the calibration's scores; `low` and `high` are
    the expected range of the daily strong share.
    """

    class Aim(models.TextChoices):
        SHARE = "share", "A strong share"
        BUDGET = "budget", "A budget"
        QUALITY = "quality", "A share of the strong model's quality"

    domain = models.CharField(max_length=40)
    router = models.CharField(max_length=40)
    checkpoint = models.CharField(max_length=64, blank=True)
    aim = models.CharField(max_length=10, choices=Aim.choices)
    wanted = models.FloatField(help_text="The share, the dollars per request, or rho.")
    delta = models.FloatField(null=True)
    threshold = models.FloatField()
    strong_share = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    scores = models.JSONField(default=list)
    source = models.CharField(max_length=80)
    author = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["domain", "-at"]
        indexes = [models.Index(fields=["domain", "-at"], name="calibration_newest")]

    def __str__(self) -> str:
        return f"{self.domain} at {self.threshold:g}"
