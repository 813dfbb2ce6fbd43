"""What the learning loop keeps: inputs of labeled decisions, rounds, checkpoints and changes of
the serving router."""

from django.db import models
from django.db.models import Q

from experiments.models.decisions import Decision


class LearningInput(models.Model):
    """The learned router's input of one labeled decision, encrypted. It contains no text.

    `sealed` holds hashed words, the embedding and structure numbers; `prior` is the score of the
    shipped router with the checkpoint `shipped`. Pruning the decision deletes the row.
    """

    decision = models.OneToOneField(
        Decision, on_delete=models.CASCADE, primary_key=True, related_name="learning_input"
    )
    domain = models.CharField(max_length=40)
    strong_model = models.CharField(max_length=200)
    weak_model = models.CharField(max_length=200)
    decided_at = models.DateTimeField()
    sealed = models.TextField()
    prior = models.FloatField()
    shipped = models.CharField(max_length=64)

    class Meta:
        ordering = ["decided_at", "decision"]
        indexes = [
            models.Index(
                fields=["strong_model", "weak_model", "domain", "decided_at"],
                name="learning_input_pair",
            )
        ]

    def __str__(self) -> str:
        return f"Input of {self.decision_id}"


class LearningRound(models.Model):
    """The result of one round, of one domain or, with an empty `domain`, of all learning domains
    with this pair of models.

    `requests` counts since learning began, `through` is the newest decision that counts. `z` and
    `difference` compare the learned with the shipped router, on the pairs that `basis` names.
    `bets` is the state of the claims. `worth` says what each router recovers on the pairs.
    """

    class PairBasis(models.TextChoices):
        DOMAIN = "domain", "Pairs of this domain"
        ALL = "all", "Pairs of all domains"
        EXPLORED = "explored", "Ratings of explored decisions"

    domain = models.CharField(max_length=40, blank=True)
    strong_model = models.CharField(max_length=200)
    weak_model = models.CharField(max_length=200)
    at = models.DateTimeField()
    through = models.DateTimeField()
    requests = models.PositiveBigIntegerField()
    pairs = models.PositiveIntegerField()
    ratings = models.PositiveIntegerField()
    basis = models.CharField(max_length=10, choices=PairBasis.choices, default=PairBasis.DOMAIN)
    difference = models.FloatField(null=True)
    z = models.FloatField(null=True)
    claim = models.CharField(max_length=20)
    bets = models.JSONField(default=dict)
    worth = models.JSONField(default=dict)
    checkpoint = models.CharField(max_length=64, blank=True)
    serving_before = models.CharField(max_length=40, blank=True)
    serving_after = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=300)
    milliseconds = models.FloatField()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["domain", "-at"], name="learning_round_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["domain", "strong_model", "weak_model", "through"],
                name="learning_round_once",
            )
        ]

    def __str__(self) -> str:
        return f"Round of {self.domain or 'all traffic'} after {self.requests} requests"


class LearnedCheckpoint(models.Model):
    """A checkpoint of the learned router of a domain, in the router row of the same name.

    It scores decisions without deciding (`shadow`), until it has scored enough (`ready`).
    """

    class CheckpointState(models.TextChoices):
        SHADOW = "shadow", "Scores in shadow"
        READY = "ready", "Ready to serve"
        SERVING = "serving", "Serves"
        RETIRED = "retired", "Retired"

    ACTIVE = (CheckpointState.SHADOW, CheckpointState.READY, CheckpointState.SERVING)

    router = models.CharField(max_length=40, unique=True)
    domain = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64)
    labels = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    state = models.CharField(
        max_length=10, choices=CheckpointState.choices, default=CheckpointState.SHADOW
    )
    round = models.ForeignKey(LearningRound, on_delete=models.SET_NULL, null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["domain", "state"], name="learned_checkpoint_state")]

    def __str__(self) -> str:
        return f"{self.router}: {self.state}"


class ServingChange(models.Model):
    """A change of the router that serves a domain: made, or waiting for approval."""

    class ChangeState(models.TextChoices):
        PROPOSED = "proposed", "Waits for approval"
        APPLIED = "applied", "Applied"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    domain = models.CharField(max_length=40)
    at = models.DateTimeField()
    by = models.CharField(max_length=150)
    state = models.CharField(max_length=10, choices=ChangeState.choices)
    router_before = models.CharField(max_length=40)
    threshold_before = models.FloatField(null=True)
    router_after = models.CharField(max_length=40)
    threshold_after = models.FloatField(null=True)
    checkpoint = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=300)
    revision = models.PositiveIntegerField(null=True)
    round = models.ForeignKey(LearningRound, on_delete=models.SET_NULL, null=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["domain", "-at"], name="serving_change_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["domain"],
                condition=Q(state="proposed"),
                name="one_proposal_a_domain",
            )
        ]

    def __str__(self) -> str:
        return f"{self.domain}: {self.router_before} to {self.router_after}"
