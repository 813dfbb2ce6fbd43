"""The index that "what if?" reads knows which decisions were audited, and in which phase."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0002_reports_from_the_future")]

    operations = [
        migrations.RemoveIndex(model_name="decision", name="decision_log"),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(
                condition=~models.Q(odds=""),
                fields=[
                    "created_at",
                    "domain",
                    "unit_hash",
                    "revision",
                    "intended_model",
                    "strong_model",
                    "weak_model",
                    "odds",
                    "scores",
                    "cost",
                    "cost_strong",
                    "cost_weak",
                    "input_tokens",
                    "audited",
                    "experiment",
                    "phase",
                    "id",
                ],
                name="decision_log",
            ),
        ),
    ]
