"""LiteLLM starts without network access."""

import os
import subprocess
import sys

from tests.api.server import ROOT


def test_no_address_is_looked_up() -> None:
    environment = {name: value for name, value in os.environ.items() if "LITELLM" not in name}
    run = subprocess.run(
        [sys.executable, "-m", "tests.gateway.litellm_offline"],
        cwd=ROOT,
        env={**environment, "SECRET_KEY": "x" * 50, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split("\n") == ["models True", ""]
    assert "fetch" not in run.stderr.lower()
