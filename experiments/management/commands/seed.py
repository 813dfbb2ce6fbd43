"""`manage.py seed`: creates the initial domains, models, routers, flags and roles."""

from typing import Any

from experiments.configuration.seeding import seed, seed_demo_key
from experiments.management.installing import InstallingCommand
from experiments.models import PolicyRevision


class Command(InstallingCommand):
    help = "Creates the initial configuration. Never overwrites edits."

    def install(self, **options: Any) -> None:
        before = PolicyRevision.objects.count()
        seed()
        seed_demo_key()
        newest = PolicyRevision.objects.first()
        if newest and PolicyRevision.objects.count() > before:
            self.stdout.write(f"Seeded: {newest} has {len(newest.document['domains'])} domains.")
        else:
            self.stdout.write("Nothing to seed: the configuration exists.")
