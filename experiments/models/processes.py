"""Which processes serve chat calls, and the calls they serve now."""

from django.db import models


class ServingProcess(models.Model):
    """One process of the gateway, and how to find out whether it lives.

    `machine` names a running kernel and its process namespace: processes with the same value can
    look each other up by `pid` and `started_ticks`. Others see whether `heartbeat_at` changes.
    """

    id = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=255)
    machine = models.CharField(max_length=100, blank=True)
    pid = models.PositiveIntegerField()
    started_ticks = models.BigIntegerField(null=True)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "serving processes"

    def __str__(self) -> str:
        return f"{self.host} {self.pid}"


class ProcessSuspicion(models.Model):
    """A process of another machine whose heartbeat has not changed since `since`."""

    process_id = models.UUIDField(primary_key=True)
    heartbeat_at = models.DateTimeField()
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.process_id} since {self.since}"


class InFlightCall(models.Model):
    """A chat call that was let in and is not settled: who serves it, and what its key is charged.

    Written with the decision, removed with its outcome. Money is in nano-dollars. Without a
    process nobody serves it any more.
    """

    decision_id = models.UUIDField(primary_key=True)
    process_id = models.UUIDField(null=True)
    started_at = models.DateTimeField()
    key_id = models.BigIntegerField()
    by_minute = models.BooleanField()
    tokens = models.BigIntegerField()
    cost = models.BigIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["process_id"], name="in_flight_process")]

    def __str__(self) -> str:
        return str(self.decision_id)
