"""`manage.py welcome`: creates the first administrator and prints the first steps."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model

from experiments.management.installing import InstallingCommand
from routing_site.cli import program

PROMPT = "Prove that the square root of two is irrational."


class Command(InstallingCommand):
    help = (
        "Creates an administrator if there is none; prints address, login and an example request."
    )

    def install(self, **options: Any) -> None:
        address = f"http://{settings.HOST}:{settings.PORT}"
        self.stdout.write(f"\nSwitchyard   {address}/\nAdmin        {address}/admin/")
        self.stdout.write(f"Login        {self._login()}")
        if settings.DEMO_API_KEY:
            self.stdout.write(f"\nRoute a prompt:\n\n{_curl(address)}\n")
        self.stdout.flush()

    def _login(self) -> str:
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            return f"as before. Forgotten? {program()} changepassword admin"
        password = secrets.token_urlsafe(12)
        get_user_model().objects.create_superuser("admin", "", password)
        return f"admin / {password}   (shown once)"


def _curl(address: str) -> str:
    return (
        f"  curl -s {address}/api/v1/route \\\n"
        f"    -H 'Authorization: Bearer {settings.DEMO_API_KEY}' \\\n"
        f"    -H 'Content-Type: application/json' \\\n"
        f"""    -d '{{"text": "{PROMPT}", "unit_id": "user-42"}}'"""
    )
