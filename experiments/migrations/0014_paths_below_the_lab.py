"""Paths of checkpoints and uploads below LAB_DIR are stored relative to it.

Revisions are immutable: where the newest one names such a path, a next one is published that does not.
"""

import hashlib

import orjson
from django.conf import settings
from django.db import migrations, models

from experiments.storage.lab_files import map_paths, path_below

NOTE = "Checkpoint paths below LAB_DIR are stored relative to it"


def relative(arguments):
    if not isinstance(arguments, dict):
        return arguments
    return map_paths(arguments, lambda path: path_below(path, settings.LAB_DIR))


def store_relative_paths(apps, schema_editor):
    for row in apps.get_model("experiments", "Router").objects.all():
        changed = relative(row.arguments)
        if changed != row.arguments:
            row.arguments = changed
            row.save(update_fields=["arguments"])
    tasks = apps.get_model("experiments", "BackgroundTask").objects
    for row in tasks.filter(name="import_outcomes"):
        path = path_below(row.arguments.get("path", ""), settings.LAB_DIR)
        if path and path != row.arguments["path"]:
            row.arguments = {**row.arguments, "path": path}
            row.save(update_fields=["arguments"])
    publish(apps.get_model("experiments", "PolicyRevision"))


def publish(PolicyRevision):
    newest = PolicyRevision.objects.order_by("-number").first()
    if newest is None:
        return
    routers = newest.document.get("routers", {})
    changed = {name: {**one, "arguments": relative(one["arguments"])} for name, one in routers.items()}
    if changed == routers:
        return
    document = {**newest.document, "routers": changed}
    PolicyRevision.objects.create(
        number=newest.number + 1,
        content_hash=hashlib.sha256(
            orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        ).hexdigest(),
        document=document,
        difference=list(differences(routers, changed)),
        author_name="upgrade",
        note=NOTE,
    )


def differences(before, after):
    for name in sorted(before):
        for argument in sorted(before[name]["arguments"]):
            old, new = before[name]["arguments"][argument], after[name]["arguments"][argument]
            if old != new:
                path = f"routers.{name}.arguments.{argument}"
                yield {"path": path, "before": old, "after": new}


class Migration(migrations.Migration):

    dependencies = [
        ('experiments', "0013_parameter_rules"),
    ]

    operations = [
        migrations.AlterField(
            model_name='router',
            name='arguments',
            field=models.JSONField(blank=True, default=dict, help_text='Constructor arguments, as JSON: {"checkpoint_path": "/models/bert"}. Paths below LAB_DIR are stored relative to it. Checked on save by trying to build the router.'),
        ),
        migrations.RunPython(store_relative_paths, migrations.RunPython.noop),
    ]
