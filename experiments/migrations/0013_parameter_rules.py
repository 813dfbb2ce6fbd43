"""Parameter rules, what was learned about parameters, and what was changed for an attempt."""

import django.core.validators
import experiments.core.parameters
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('experiments', "0012_rollout_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name='attempt',
            name='changes',
            field=models.JSONField(default=list),
        ),
        migrations.CreateModel(
            name='LearnedParameter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=200)),
                ('parameter', models.CharField(max_length=60)),
                ('value', models.CharField(blank=True, max_length=100)),
                ('action', models.CharField(choices=[(experiments.core.parameters.Action['DROP'], 'Leave it out'), (experiments.core.parameters.Action['RENAME'], 'Send it under another name'), (experiments.core.parameters.Action['CLAMP'], 'Limit it'), (experiments.core.parameters.Action['REPLACE'], 'Send another value'), (experiments.core.parameters.Action['AVOID'], 'Prefer other models; leave it out where there is none'), (experiments.core.parameters.Action['REFUSE'], 'Never ask the model for calls with it')], max_length=10)),
                ('replacement', models.CharField(blank=True, max_length=100)),
                ('maximum', models.FloatField(null=True)),
                ('with_parameter', models.CharField(blank=True, max_length=60)),
                ('reason', models.CharField(blank=True, max_length=300)),
                ('learned_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('times', models.PositiveIntegerField(default=1)),
            ],
            options={
                'verbose_name': 'learned parameter',
                'ordering': ['model', 'parameter', 'value'],
                'constraints': [models.UniqueConstraint(fields=('model', 'parameter', 'value'), name='learned_parameter_once')],
            },
        ),
        migrations.CreateModel(
            name='ParameterRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField(default=0, editable=False)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(help_text='Small letters, digits, dots, hyphens: claude-seed. Shown where it was applied.', max_length=80, unique=True, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9_.-]*\\Z', 'Use small letters, digits, dots, hyphens.')])),
                ('provider', models.CharField(blank=True, help_text='The provider of the models it is about, such as openai. Empty: any.', max_length=100, validators=[django.core.validators.RegexValidator('[\\x00-\\x1f\\x7f-\\x9f]', 'Leave out line breaks, tabs and other control characters.', inverse_match=True)])),
                ('model_patterns', models.JSONField(blank=True, default=list, help_text='Patterns of model names, with or without the provider: gpt-5*, *claude*. With an exclamation mark in front, what they leave out: !*-chat*. Empty: all models.', verbose_name='models')),
                ('parameter', models.CharField(help_text='As callers send it, such as seed. image_url and input_audio mean pictures and sound in messages, and can only be refused.', max_length=60, validators=[django.core.validators.RegexValidator('^(?!(messages|model|stream)$)[A-Za-z][A-Za-z0-9_]*\\Z', 'Name one parameter; model, messages and stream stay as they are.')])),
                ('action', models.CharField(choices=[(experiments.core.parameters.Action['DROP'], 'Leave it out'), (experiments.core.parameters.Action['RENAME'], 'Send it under another name'), (experiments.core.parameters.Action['CLAMP'], 'Limit it'), (experiments.core.parameters.Action['REPLACE'], 'Send another value'), (experiments.core.parameters.Action['AVOID'], 'Prefer other models; leave it out where there is none'), (experiments.core.parameters.Action['REFUSE'], 'Never ask the model for calls with it')], help_text='What is done about it for these models.', max_length=10)),
                ('replacement', models.CharField(blank=True, help_text='The other name, or the other value. Only for these two actions.', max_length=100, validators=[django.core.validators.RegexValidator('[\\x00-\\x1f\\x7f-\\x9f]', 'Leave out line breaks, tabs and other control characters.', inverse_match=True)])),
                ('minimum', models.FloatField(blank=True, help_text='For a limit: the lowest number. Empty: no lowest one.', null=True)),
                ('maximum', models.FloatField(blank=True, help_text='For a limit: the highest number, or the most entries of a list. Both empty: the tokens the model can write.', null=True)),
                ('only_values', models.JSONField(blank=True, default=list, help_text='Only for these values, such as minimal; of an object its type, such as json_schema. Empty: for all.')),
                ('except_values', models.JSONField(blank=True, default=list, help_text='Not for these values, such as 1.')),
                ('with_parameter', models.CharField(blank=True, help_text='Only for calls that carry this parameter too. Empty: for all.', max_length=60, validators=[django.core.validators.RegexValidator('^(?!(messages|model|stream)$)[A-Za-z][A-Za-z0-9_]*\\Z', 'Name one parameter; model, messages and stream stay as they are.')])),
            ],
            options={
                'verbose_name': 'parameter rule',
                'ordering': ['name'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('action__in', [experiments.core.parameters.Action['RENAME'], experiments.core.parameters.Action['REPLACE']]), _negated=True), models.Q(('replacement', ''), _negated=True), _connector='OR'), name='parameter_rule_names_a_replacement', violation_error_message='Give the replacement: the other name or value.'), models.CheckConstraint(condition=models.Q(models.Q(('action', experiments.core.parameters.Action['RENAME']), _negated=True), models.Q(('replacement__in', ['messages', 'model', 'stream']), _negated=True), _connector='OR'), name='parameter_rule_renames_to_a_parameter', violation_error_message='model, messages and stream stay as they are.'), models.CheckConstraint(condition=models.Q(('minimum__isnull', True), ('maximum__isnull', True), ('minimum__lte', models.F('maximum')), _connector='OR'), name='parameter_rule_limits_are_in_order', violation_error_message='The lowest number is above the highest.')],
            },
        ),
    ]
