"""Unit ids are stored as keyed hashes, so that the log alone identifies no person."""

import hashlib
from functools import lru_cache

from django.conf import settings


@lru_cache(maxsize=1)
def _key(configured: str, secret: str) -> bytes:
    return hashlib.sha256(f"switchyard-unit:{configured or secret}".encode()).digest()


def hash_unit(unit_id: str) -> str:
    """32 hexadecimal digits: BLAKE2b keyed with UNIT_HASH_KEY, or with SECRET_KEY where unset."""
    key = _key(settings.UNIT_HASH_KEY, settings.SECRET_KEY)
    data = unit_id.encode(errors="surrogatepass")
    return hashlib.blake2b(data, digest_size=16, key=key).hexdigest()
