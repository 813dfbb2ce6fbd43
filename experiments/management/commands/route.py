"""`manage.py route "TEXT"`: makes one decision and explains it."""

from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import CommandError

from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.selection import NoEligibleModelsError
from experiments.decisions.explanation import as_text
from experiments.decisions.payload import decision_payload
from experiments.management.base import BaseCommand
from experiments.routing.route import (
    RouteRequest,
    StorageUnavailableError,
    UnknownNameError,
    route,
)
from experiments.routing.runtime import engine


class Command(BaseCommand):
    help = "Routes one prompt and prints the decision with its explanation."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("text")
        parser.add_argument("--unit", help="The unit id, such as a user id.")
        parser.add_argument("--domain", help="Use this domain instead of detecting one.")
        parser.add_argument("--store", action="store_true", help="Store the decision.")
        parser.add_argument("--json", action="store_true", help="Print the API's response.")

    def handle(self, *args: Any, **options: Any) -> None:
        request = RouteRequest(
            options["text"],
            unit_id=options["unit"],
            domain=options["domain"],
            dry_run=not options["store"],
        )
        try:
            engine.warm_up(store.current())
            row = route(request)
        except (
            UnknownNameError,
            NoPolicyError,
            NoEligibleModelsError,
            StorageUnavailableError,
        ) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            payload = orjson.dumps(decision_payload(row), option=orjson.OPT_INDENT_2)
            self.stdout.write(payload.decode())
        else:
            self.stdout.write(as_text(row))
