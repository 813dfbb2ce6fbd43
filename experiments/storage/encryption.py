"""Encrypts data that must not be stored in plain text, for a limited time.

The key is derived from SECRET_KEY, which is never in the database: a copy of the database alone
reveals nothing. docs/decisions/0034-prompts-wait-sealed.md gives the reasons."""

import base64
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class SealBrokenError(ValueError):
    """Expired, or encrypted with another SECRET_KEY."""


def seal(data: bytes, at: datetime) -> str:
    """Its lifetime begins at `at`, however often it is encrypted again."""
    return _box().encrypt_at_time(data, int(at.timestamp())).decode()


def unseal(sealed: str, longest: timedelta) -> bytes:
    """Raises SealBrokenError."""
    try:
        return _box().decrypt(sealed.encode(), ttl=int(longest.total_seconds()))
    except InvalidToken:
        raise SealBrokenError("Expired, or encrypted with another SECRET_KEY.") from None


def _box() -> Fernet:
    key = salted_hmac("switchyard.sealing", "key", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
