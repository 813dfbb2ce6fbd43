"""`manage.py seed`: the domains, models, routers, flags and roles to start with."""

from typing import Any

from experiments.configuration.seeding import seed, seed_demo_key
from experiments.management.installing import InstallingCommand
from experiments.models import PolicyRevision


class Command(InstallingCommand):
    help = "Creates what a new installation starts with. Never overwrites an edit."

    def install(self, **options: Any) -> None:
        before = PolicyRevision.objects.count()
        seed()
        seed_demo_key()
        newest = PolicyRevision.objects.first()
        if newest and PolicyRevision.objects.count() > before:
            self.stdout.write(f"Seeded: {newest} holds {len(newest.document['domains'])} domains.")
        else:
            self.stdout.write("Nothing to seed: the configuration is there.")
