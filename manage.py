#!/usr/bin/env python
"""The command line in a checkout: its files belong to the folder of this file."""

import os
from pathlib import Path

from routing_site.cli import main

if __name__ == "__main__":
    os.environ.setdefault("SWITCHYARD_HOME", str(Path(__file__).resolve().parent))
    main()
