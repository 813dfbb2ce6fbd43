"""`manage.py refresh_prices`: updates prices from the installed genai-prices catalogue."""

from typing import Any

from experiments.configuration.prices import refresh_prices
from experiments.configuration.revisions import revision
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = "Updates prices from the installed catalogue. Operators' prices do not change."

    def handle(self, *args: Any, **options: Any) -> None:
        with revision("prices", "Prices refreshed from the catalogue"):
            refreshed = refresh_prices()
        self.stdout.write(f"{len(refreshed.changed)} prices changed.")
        for name in refreshed.unpriced:
            self.stdout.write(f"  unpriced: {name}. Set a price in the admin if it has one.")
