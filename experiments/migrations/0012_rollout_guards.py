"""Guarded rollouts get a list of guards, and phases: stretches with fixed shares, compared each by
itself. Rollouts that are open keep what they counted as phase 1 and count on in phase 2."""

from decimal import Decimal
from typing import Any

import django.core.validators
from django.db import migrations, models

ERROR_MARGIN = 0.02
HALF, HUNDRED = Decimal(50), Decimal(100)
OPEN = ("pending", "ready", "running", "held", "paused")


def add_guards_and_phases(apps: Any, schema_editor: Any) -> None:
    database = schema_editor.connection.alias
    steps = apps.get_model("experiments", "RolloutStep").objects.using(database)
    for rollout in apps.get_model("experiments", "Rollout").objects.using(database).all():
        errors = [{"metric": "error_rate", "margin": ERROR_MARGIN, "limit": None}]
        quality = [{"metric": "quality", "margin": rollout.margin, "limit": None}]
        rollout.guards = [*(errors if rollout.state in OPEN else []), *quality]
        if rollout.started_at is not None:
            rollout.phase = 1
            for step in steps.filter(rollout=rollout):
                step.phase, step.control_percentage = 1, _controls_before(rollout, step.percentage)
                step.save()
        if rollout.started_at is not None and rollout.state in OPEN:
            rollout.phase = 2
            rollout.treated_percentage = _treated(rollout)
            rollout.control_percentage = HUNDRED - rollout.treated_percentage
        rollout.save()


def _controls_before(rollout: Any, share: Decimal) -> Decimal:
    """As many as were treated up to half, the holdback above."""
    top = share if share <= HALF else Decimal(str(rollout.holdback_percentage))
    return min(top, HUNDRED - share)


def _treated(rollout: Any) -> Decimal:
    """What its step says: a flag that was moved by hand is not counted."""
    share = Decimal(str(rollout.steps[rollout.step][0]))
    if HALF < share < HUNDRED:
        share = min(share, HUNDRED - Decimal(str(rollout.holdback_percentage)))
    return max(share, rollout.before_percentage)


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0011_replays"),
    ]

    operations = [
        migrations.AddField(
            model_name="rollout",
            name="control_percentage",
            field=models.DecimalField(decimal_places=2, default=0, editable=False, max_digits=5),
        ),
        migrations.AddField(
            model_name="rollout",
            name="guards",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Metrics that must not get worse, each with its margin. Empty: error rate within 2 points, and quality within the margin below.",
            ),
        ),
        migrations.AddField(
            model_name="rollout",
            name="phase",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="rollout",
            name="treated_percentage",
            field=models.DecimalField(decimal_places=2, default=0, editable=False, max_digits=5),
        ),
        migrations.AddField(
            model_name="rolloutstep",
            name="control_percentage",
            field=models.DecimalField(decimal_places=2, default=0, max_digits=5),
        ),
        migrations.AddField(
            model_name="rolloutstep",
            name="phase",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="rolloutstep",
            name="without_evidence",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="unitsum",
            name="slow",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="alpha",
            field=models.FloatField(
                default=0.05,
                help_text="The accepted risk of a wrong rollback, and of a step that loses more than a margin.",
                validators=[
                    django.core.validators.MinValueValidator(0.001),
                    django.core.validators.MaxValueValidator(0.5),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="holdback_percentage",
            field=models.FloatField(
                default=5.0,
                help_text="Steps between 50 and 100 % stop short by this share, which stays as control; 0 marks those steps unmonitored.",
                validators=[
                    django.core.validators.MinValueValidator(0.0),
                    django.core.validators.MaxValueValidator(50.0),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="margin",
            field=models.FloatField(
                default=0.05,
                help_text="The worst quality loss accepted, on the scale of the quality metric. Used where no guards are listed.",
                validators=[django.core.validators.MinValueValidator(0.0001)],
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="reason",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="steps",
            field=models.JSONField(
                default=list,
                help_text="Percentages and hours to wait at each: [[1, 24], [5, 24], [25, 48], [100, 0]]. Without hours (null) a step waits until an operator continues it.",
            ),
        ),
        migrations.AlterField(
            model_name="rolloutstep",
            name="reason",
            field=models.TextField(),
        ),
        migrations.RunPython(add_guards_and_phases, migrations.RunPython.noop),
    ]
