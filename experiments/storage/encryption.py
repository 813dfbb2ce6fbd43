"""What may not be stored in the open waits encrypted, for a limited time.

The key is made from SECRET_KEY, which is never in the database: a copy of the database alone says
nothing. docs/decisions/0034-prompts-wait-sealed.md says why it is done at all.
"""

import base64
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class SealBrokenError(ValueError):
    """Too old, or sealed under another SECRET_KEY."""


def seal(data: bytes, at: datetime) -> str:
    """Its time begins at `at`, however often it is sealed again."""
    return _box().encrypt_at_time(data, int(at.timestamp())).decode()


def unseal(sealed: str, longest: timedelta) -> bytes:
    """Raises SealBrokenError."""
    try:
        return _box().decrypt(sealed.encode(), ttl=int(longest.total_seconds()))
    except InvalidToken:
        raise SealBrokenError("Too old, or sealed under another SECRET_KEY.") from None


def _box() -> Fernet:
    key = salted_hmac("switchyard.sealing", "key", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
