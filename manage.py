#!/usr/bin/env python
"""Django's command line. What is wrong with the surroundings is said in words, not as a trace."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import OperationalError  # noqa: PLC0415

    from experiments.storage.long_statements import allow_long_statements  # noqa: PLC0415

    try:
        allow_long_statements()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"The database cannot be used: {error}\nCheck DATABASE_URL, then `migrate`.")


if __name__ == "__main__":
    main()
