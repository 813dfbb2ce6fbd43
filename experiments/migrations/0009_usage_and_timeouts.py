"""Prices of cache writes and audio, the tokens they are for, and timeouts that suit reasoning.

Prices from the catalogue are filled in where the catalogue still has the price that is stored.
Timeouts move where they are the former defaults. `manage.py seed`, which every start runs,
publishes both as a revision.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import django.core.validators
from django.db import migrations, models
from genai_prices import Usage, calc_price


SAMPLE = 1_000
PARTS = {
    "cache_write_per_million": ("input", {"cache_write_tokens": SAMPLE}),
    "cache_write_1h_per_million": (
        "input",
        {"cache_write_tokens": SAMPLE, "cache_write_1h_tokens": SAMPLE},
    ),
    "audio_input_per_million": ("input", {"input_audio_tokens": SAMPLE}),
    "audio_output_per_million": ("output", {"output_audio_tokens": SAMPLE}),
}
FORMER = {"first_token_seconds": (30.0, 300.0), "total_seconds": (300.0, 900.0)}


def fill_prices(apps: Any, schema_editor: Any) -> None:
    for row in apps.get_model("experiments", "ModelPrice").objects.filter(source="genai-prices"):
        found = dict(_parts(row))
        for column, price in found.items():
            setattr(row, column, price)
        if found:
            row.save(update_fields=list(found))


def _parts(row: Any) -> Iterator[tuple[str, Decimal]]:
    try:
        general = {side: _per_million(row.model.name, side) for side in ("input", "output")}
        if general != {"input": row.input_per_million, "output": row.output_per_million}:
            return
        for column, (side, tokens) in PARTS.items():
            price = _per_million(row.model.name, side, **tokens)
            if price != general[side]:
                yield column, price
    except LookupError:
        return


def _per_million(name: str, side: str, **tokens: int) -> Decimal:
    provider, _, model = name.partition("/")
    usage = Usage(input_tokens=SAMPLE, output_tokens=SAMPLE, **tokens)
    found = calc_price(usage, model or provider, provider_id=provider if model else None)
    price: Decimal = getattr(found, f"{side}_price")
    return price * 1_000_000 / SAMPLE


def wait_longer(apps: Any, schema_editor: Any) -> None:
    endpoints = apps.get_model("experiments", "ProviderEndpoint").objects
    for column, (former, now) in FORMER.items():
        endpoints.filter(**{column: former}).update(**{column: now})


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0008_login_attempts"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="cache_write_1h_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="cache_write_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="input_audio_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="output_audio_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="modelprice",
            name="audio_input_per_million",
            field=models.DecimalField(
                blank=True,
                decimal_places=6,
                help_text="What a million tokens of audio in the prompt cost. Empty: as much as the others.",
                max_digits=14,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="audio input, USD per million tokens",
            ),
        ),
        migrations.AddField(
            model_name="modelprice",
            name="audio_output_per_million",
            field=models.DecimalField(
                blank=True,
                decimal_places=6,
                help_text="What a million tokens of audio in the answer cost. Empty: as much as the others.",
                max_digits=14,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="audio output, USD per million tokens",
            ),
        ),
        migrations.AddField(
            model_name="modelprice",
            name="cache_write_1h_per_million",
            field=models.DecimalField(
                blank=True,
                decimal_places=6,
                help_text="What a million tokens cost that the provider wrote to its cache for an hour. Empty: as much as other cache writes.",
                max_digits=14,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="cache write, one hour, USD per million tokens",
            ),
        ),
        migrations.AddField(
            model_name="modelprice",
            name="cache_write_per_million",
            field=models.DecimalField(
                blank=True,
                decimal_places=6,
                help_text="What a million tokens cost that the provider wrote to its cache (Anthropic: for five minutes). Empty: as much as the others.",
                max_digits=14,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="cache write, USD per million tokens",
            ),
        ),
        migrations.AlterField(
            model_name="providerendpoint",
            name="first_token_seconds",
            field=models.FloatField(
                default=300.0,
                help_text="Seconds a stream may send nothing at all, before its first token and after it. Any byte counts, comments too. Models that reason first can be silent for minutes. Answers that are not streamed have the total time.",
                validators=[
                    django.core.validators.MinValueValidator(0.05),
                    django.core.validators.MaxValueValidator(3600.0),
                ],
                verbose_name="time to the first token",
            ),
        ),
        migrations.AlterField(
            model_name="providerendpoint",
            name="total_seconds",
            field=models.FloatField(
                default=900.0,
                help_text="Seconds for one call.",
                validators=[
                    django.core.validators.MinValueValidator(0.05),
                    django.core.validators.MaxValueValidator(3600.0),
                ],
                verbose_name="time in total",
            ),
        ),
        migrations.RunPython(fill_prices, migrations.RunPython.noop),
        migrations.RunPython(wait_longer, migrations.RunPython.noop),
    ]
