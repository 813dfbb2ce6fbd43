"""What the last check of a guarded rollout saw, so that pages need not read its units."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('experiments', "0016_threshold_help"),
    ]

    operations = [
        migrations.AddField(
            model_name='rollout',
            name='seen',
            field=models.JSONField(default=dict, editable=False, help_text='What the last check saw in this phase.'),
        ),
    ]
