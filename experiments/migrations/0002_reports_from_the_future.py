"""Reports that claim to come from the future would beat every later correction: they count from
their arrival instead. New ones are refused."""

from datetime import timedelta
from typing import Any

from django.db import migrations
from django.db.models import F

CLOCK_SKEW = timedelta(minutes=5)


def date_by_arrival(apps: Any, schema_editor: Any) -> None:
    for name in ("Outcome", "Feedback"):
        rows = apps.get_model("experiments", name).objects.using(schema_editor.connection.alias)
        ahead = rows.filter(occurred_at__gt=F("received_at") + CLOCK_SKEW)
        ahead.update(occurred_at=F("received_at"))


class Migration(migrations.Migration):
    dependencies = [("experiments", "0001_initial")]

    operations = [migrations.RunPython(date_by_arrival, migrations.RunPython.noop)]
