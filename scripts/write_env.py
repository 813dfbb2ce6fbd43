"""Writes `.env` with fresh secrets where there is none. Needs nothing but Python."""

import secrets
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / ".env"


def main() -> None:
    if TARGET.exists():
        return
    lines = [
        "# Written at the first start. .env.example explains every setting.",
        f"SECRET_KEY={secrets.token_urlsafe(48)}",
        f"UNIT_HASH_KEY={secrets.token_urlsafe(32)}",
        f"DEMO_API_KEY=sy_{secrets.token_urlsafe(32)}",
    ]
    TARGET.touch(mode=0o600)
    TARGET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
