"""The order in which every transaction locks tables and rows.

Two transactions that lock the same rows in opposite orders wait for each other until the database
ends one of them. With one order for all this cannot happen. docs/decisions/0036-one-lock-order.md
has the reasons; tests/storage/test_lock_order.py records statements and compares them with it.

Rows of sums are changed by folding and corrections only; requests insert (`models.sums`). Before
all else admission takes the advisory locks of limited keys, in the order of their numbers; leases
are inserted and deleted under these.

Tables that are not listed are configuration: they come first, under the advisory lock that
`revisions.lock_configuration` takes. Tables in one line have no order among them, because each of
their rows is written only while its decision or pair is locked, or is new.
"""

from collections.abc import Sequence
from typing import Any

from django.db import models

from experiments.models import (
    Attempt,
    BackgroundTask,
    Circuit,
    Decision,
    Feedback,
    InFlightCall,
    KeyUsage,
    LearnedParameter,
    LearningInput,
    MetricSum,
    Outcome,
    OutcomeSet,
    OwnCall,
    ProcessSuspicion,
    PrunedTotal,
    PruneMark,
    QuotaLease,
    RecordedOutcome,
    Rollup,
    RollupBin,
    ServingProcess,
    ShadowPair,
    StoredResponse,
    UnitSum,
)

LOCK_ORDER: tuple[tuple[type[models.Model], ...], ...] = (
    (BackgroundTask,),
    (ShadowPair,),
    (QuotaLease,),
    (KeyUsage,),
    (Decision,),
    (InFlightCall, Outcome, Feedback, Attempt, OwnCall, LearningInput),
    (MetricSum,),
    (Rollup,),
    (RollupBin,),
    (UnitSum,),
    (PrunedTotal,),
    (PruneMark,),
    (Circuit,),
    (LearnedParameter,),
    (OutcomeSet,),
    (RecordedOutcome,),
    (ServingProcess,),
    (ProcessSuspicion,),
    (StoredResponse,),
)
CONFIGURATION = 0


def position(model: type[models.Model]) -> int:
    """When a transaction locks this table: after all with a smaller number."""
    for number, group in enumerate(LOCK_ORDER, start=1):
        if model in group:
            return number
    return CONFIGURATION


def locked_ids(rows: "models.QuerySet[Any]") -> Sequence[Any]:
    """The primary keys of these rows, which stay locked until the transaction ends.

    Rows are locked in the order of their keys, as an UPDATE or DELETE of many rows would not.
    """
    in_order = rows.order_by("pk").select_for_update(no_key=True, of=("self",))
    return list(in_order.values_list("pk", flat=True))
