"""Shadow calls: the answer of the pair's other model to the same prompt, and the judge's verdict.

They are not decisions: totals, roll-ups and experiments do not read these rows.
"""

from django.db import models
from django.db.models import Q

from experiments.models.decisions import Decision
from experiments.models.tasks import BackgroundTask


class ShadowPair(models.Model):
    """The answer that the user got, and the other model's answer to the same prompt.

    `sealed` contains the encrypted input of the calls; it is cleared when they start, so a pair
    whose process dies is never called again. `charged` is the expected cost of the calls,
    taken from the day's budget at `charged_at`. The text of both answers is stored only if the
    domain stores prompts. `preference` is the share of the judge's verdicts for the user's answer;
    a tie counts half. Money is in nano-dollars.
    """

    class PairStatus(models.TextChoices):
        WAITING = "waiting", "Waiting"
        ASKING = "asking", "Running"
        JUDGED = "judged", "Judged"
        ANSWERED = "answered", "Answered, not judged"
        SKIPPED = "skipped", "Skipped"
        FAILED = "failed", "Failed"
        LOST = "lost", "Lost"

    OPEN = (PairStatus.WAITING, PairStatus.ASKING)

    decision = models.OneToOneField(
        Decision, on_delete=models.CASCADE, primary_key=True, related_name="shadow"
    )
    task = models.ForeignKey(
        BackgroundTask, on_delete=models.SET_NULL, null=True, related_name="shadow_pairs"
    )
    status = models.CharField(max_length=10, choices=PairStatus.choices, default=PairStatus.WAITING)
    detail = models.CharField(max_length=300, blank=True)
    domain = models.CharField(max_length=40)
    model = models.CharField(max_length=200, help_text="The model that answered the user.")
    other_model = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    sealed = models.TextField(blank=True)
    charged = models.BigIntegerField(null=True)
    charged_at = models.DateTimeField(null=True)
    answer = models.TextField(null=True)  # noqa: DJ001 - not stored is not the same as empty
    other_answer = models.TextField(null=True)  # noqa: DJ001
    judge_model = models.CharField(max_length=200, blank=True)
    revision = models.PositiveIntegerField(null=True, help_text="The revision of the rubric.")
    preference = models.FloatField(null=True)
    odds = models.FloatField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["status", "created_at"], name="shadow_status"),
            models.Index(fields=["created_at"], name="shadow_time"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(preference__isnull=True) | Q(preference__gte=0, preference__lte=1),
                name="shadow_preference_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(odds__isnull=True) | Q(odds__gt=0, odds__lte=1),
                name="shadow_odds_are_a_probability",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting") | Q(sealed=""), name="shadow_keeps_nothing_sealed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} and {self.other_model}: {self.status}"


class OwnCall(models.Model):
    """A call by Switchyard itself: the other model's answer, or one verdict of the judge.

    `given_first`: whether the judge read the user's answer first. `winner` is the preferred answer.
    `reason` is stored only if the domain stores prompts, because it may repeat them; `criterion` is
    always stored. `charged_at` and `reserved` say when and with how much its pair was charged.
    """

    class Purpose(models.TextChoices):
        SHADOW = "shadow", "Shadow call"
        JUDGE = "judge", "Judging"

    class Winner(models.TextChoices):
        GIVEN = "given", "The answer that the user got"
        OTHER = "other", "The other model's answer"
        TIE = "tie", "Tie"

    pair = models.ForeignKey(ShadowPair, on_delete=models.CASCADE, related_name="calls")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    model = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=40, blank=True)
    started_at = models.DateTimeField()
    ended_ms = models.FloatField()
    status = models.CharField(max_length=30)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    estimated = models.BooleanField(default=False)
    cost = models.BigIntegerField(null=True)
    charged_at = models.DateTimeField(null=True)
    reserved = models.BigIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    given_first = models.BooleanField(null=True)
    winner = models.CharField(max_length=5, choices=Winner.choices, blank=True)
    criterion = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["pair", "id"]
        indexes = [models.Index(fields=["started_at"], name="own_call_time")]

    def __str__(self) -> str:
        return f"{self.purpose} by {self.model}: {self.status}"
