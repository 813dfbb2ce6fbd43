"""Processes that serve chat calls, and their current calls."""

from django.db import models


class ServingProcess(models.Model):
    """One process of the gateway, and how to check that it is alive.

    `machine` identifies a running kernel and its process namespace: processes with the same value
    check each other by `pid` and `started_ticks`. Others check whether `heartbeat_at` changes.
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
    """An admitted chat call that is not settled: its process, and the reservation of its key.

    It is written with the decision and removed with the outcome. Money is in nano-dollars. Without
    a process the call is abandoned.
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
