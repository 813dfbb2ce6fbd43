"""Existing installations keep the weights of the shipped router that their thresholds were made for.

A new version of it is shipped, whose scores differ. Rows of kind `local` without a pinned checkpoint
are pinned to the earlier version; saving the row in the admin pins the new one. Revisions are
immutable: where the newest one has such a row, a next one is published.
"""

import hashlib

import orjson
from django.db import migrations

EARLIER = "080e80bb58f061513ccfa7cb247c3c06b7aa013b4a2db96afd23d910f24fcc43"
NOTE = "The shipped router keeps its weights; save its row to use the new ones"


def is_unpinned(router):
    arguments = router.get("arguments") or {}
    return (
        router.get("kind") == "local"
        and not router.get("checkpoint")
        and not arguments.get("checkpoint_path")
    )


def pin(apps, schema_editor):
    for row in apps.get_model("experiments", "Router").objects.filter(kind="local", checkpoint=""):
        if is_unpinned({"kind": "local", "arguments": row.arguments}):
            row.checkpoint = EARLIER
            row.save(update_fields=["checkpoint"])
    # Scores of outcome sets that were stored; local_mf now reads the question of a prompt.
    scores = apps.get_model("experiments", "OutcomeScores").objects
    scores.filter(router_key__startswith="local_mf:").delete()
    publish(apps.get_model("experiments", "PolicyRevision"))


def publish(PolicyRevision):
    newest = PolicyRevision.objects.order_by("-number").first()
    if newest is None:
        return
    routers = newest.document.get("routers", {})
    unpinned = sorted(name for name, router in routers.items() if is_unpinned(router))
    if not unpinned:
        return
    pinned = {name: {**routers[name], "checkpoint": EARLIER} for name in unpinned}
    document = {**newest.document, "routers": {**routers, **pinned}}
    PolicyRevision.objects.create(
        number=newest.number + 1,
        content_hash=hashlib.sha256(
            orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        ).hexdigest(),
        document=document,
        difference=[
            {
                "path": f"routers.{name}.checkpoint",
                "before": routers[name].get("checkpoint", ""),
                "after": EARLIER,
            }
            for name in unpinned
        ],
        author_name="upgrade",
        note=NOTE,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('experiments', "0027_shadow_charges"),
    ]

    operations = [
        migrations.RunPython(pin, migrations.RunPython.noop),
    ]
