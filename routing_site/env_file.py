"""Writes `.env` with new secrets where none exists. Needs nothing but Python."""

import secrets
from pathlib import Path

NAME = ".env"


def write(folder: Path) -> None:
    """Creates `folder/.env`, readable by its owner only. An existing file is not touched."""
    file = folder / NAME
    if file.exists():
        return
    lines = [
        "# Written at the first start. docs/settings.md explains every setting.",
        f"SECRET_KEY={secrets.token_urlsafe(48)}",
        f"UNIT_HASH_KEY={secrets.token_urlsafe(32)}",
        f"DEMO_API_KEY=sy_{secrets.token_urlsafe(32)}",
    ]
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path.cwd())
