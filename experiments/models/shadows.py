"""Shadow calls: a second answer to a prompt, by the other model of the pair, and who judged them.

None of it is a decision: no sum, roll-up or experiment reads these rows.
"""

from django.db import models
from django.db.models import Q

from experiments.models.decisions import Decision
from experiments.models.tasks import BackgroundTask


class ShadowPair(models.Model):
    """The answer somebody was given, and the other model's to the same prompt.

    `sealed` holds what the calls still need, encrypted; it is emptied when they begin, so that a
    pair whose process dies is never asked again. `charged` is what its calls are expected to cost.
    Both answers are kept as text only where the domain keeps prompts. `preference` is the share of
    the judge's verdicts for the answer that was given, a tie counting half. Money is in
    nano-dollars.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        ASKING = "asking", "Being asked"
        JUDGED = "judged", "Judged"
        ANSWERED = "answered", "Answered, not judged"
        SKIPPED = "skipped", "Not made"
        FAILED = "failed", "Failed"
        LOST = "lost", "Lost"

    OPEN = (Status.WAITING, Status.ASKING)

    decision = models.OneToOneField(
        Decision, on_delete=models.CASCADE, primary_key=True, related_name="shadow"
    )
    task = models.ForeignKey(
        BackgroundTask, on_delete=models.SET_NULL, null=True, related_name="shadow_pairs"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    detail = models.CharField(max_length=300, blank=True)
    domain = models.CharField(max_length=40)
    model = models.CharField(max_length=200, help_text="Who answered the user.")
    other_model = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    sealed = models.TextField(blank=True)
    charged = models.BigIntegerField(null=True)
    answer = models.TextField(null=True)  # noqa: DJ001 - not stored is not the same as empty
    other_answer = models.TextField(null=True)  # noqa: DJ001
    judge_model = models.CharField(max_length=200, blank=True)
    revision = models.PositiveIntegerField(null=True, help_text="Whose rubric was judged by.")
    preference = models.FloatField(null=True)

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
                condition=Q(status="waiting") | Q(sealed=""), name="shadow_keeps_nothing_sealed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} beside {self.other_model}: {self.status}"


class OwnCall(models.Model):
    """A call on Switchyard's own account: the other model's answer, or one verdict of the judge.

    `given_first` tells which answer the judge read first; `winner` is whose it preferred. The
    reason is kept in words only where the domain keeps prompts, because it may repeat them;
    `criterion` always.
    """

    class Purpose(models.TextChoices):
        SHADOW = "shadow", "Shadow call"
        JUDGE = "judge", "Judging"

    class Winner(models.TextChoices):
        GIVEN = "given", "The answer that was given"
        OTHER = "other", "The other model's"
        TIE = "tie", "A tie"

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
