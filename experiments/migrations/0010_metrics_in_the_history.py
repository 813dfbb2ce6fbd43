"""Metrics are configuration: edits are revisions, and a stale form is noticed."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0009_usage_and_timeouts")]

    operations = [
        migrations.AddField(
            "metric", "version", models.PositiveIntegerField(default=0, editable=False)
        ),
        migrations.AddField(
            "metric",
            "updated_at",
            models.DateTimeField(auto_now=True, default=django.utils.timezone.now),
            preserve_default=False,
        ),
    ]
