"""Settings of the tests: the product's own, with what `.env` would hold filled in."""

import os

os.environ.setdefault("SECRET_KEY", "tests-only-" + "x" * 50)
os.environ.setdefault("DEBUG", "false")

from routing_site.settings import *  # noqa: F403

POLICY_REFRESH_SECONDS = 0.0
READINESS_SECONDS = 30.0  # other tests may keep the machine busy
# Looks files up when they are asked for, instead of reading all of them for each test client.
WHITENOISE_AUTOREFRESH = True
