"""Cost cap, prior and reason of a ship; help texts with realistic thresholds."""

import django.core.validators
import experiments.models.base
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("experiments", "0006_write_probe"),
    ]

    operations = [
        migrations.AddField(
            model_name='experiment',
            name='cost_cap',
            field=models.DecimalField(blank=True, decimal_places=9, help_text='US dollars that one unit counts for at most (winsorized): requests beyond it count in proportion, so that one loop of thousands of calls decides nothing. Empty: proposed from recent units at the start, and fixed then.', max_digits=14, null=True, validators=[django.core.validators.MinValueValidator(Decimal('1E-9')), django.core.validators.MaxValueValidator(Decimal('9000'))]),
        ),
        migrations.AddField(
            model_name='experiment',
            name='prior_sd',
            field=models.FloatField(default=0.2, help_text='How far apart effects on cost usually are, as a standard deviation of their logarithm (tau). What to expect of an arm that ships is shrunk with it.', validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(10.0)], verbose_name='spread of effects'),
        ),
        migrations.AddField(
            model_name='experiment',
            name='ship_reason',
            field=models.CharField(blank=True, editable=False, max_length=500),
        ),
        migrations.AlterField(
            model_name='arm',
            name='between',
            field=models.JSONField(blank=True, default=list, help_text='For more than two models: [{"model": "…", "router": "…", "threshold": 0.7}]. A prompt below the threshold goes to the first step whose router\'s score reaches it, else to the weak model.', validators=[experiments.models.base.validate_between], verbose_name='models between'),
        ),
        migrations.AlterField(
            model_name='arm',
            name='name',
            field=models.CharField(help_text='Short: control, local-75.', max_length=80, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9-]*\\Z', 'Use small letters, digits and hyphens.')]),
        ),
        migrations.AlterField(
            model_name='domain',
            name='between',
            field=models.JSONField(blank=True, default=list, help_text='For more than two models: [{"model": "…", "router": "…", "threshold": 0.7}]. A prompt below the threshold goes to the first step whose router\'s score reaches it, else to the weak model.', validators=[experiments.models.base.validate_between], verbose_name='models between'),
        ),
        migrations.AlterField(
            model_name='experiment',
            name='min_days',
            field=models.PositiveIntegerField(default=7, help_text='No `ship` before each arm has counted units on this many days: weekdays differ.', verbose_name='minimum days'),
        ),
    ]
