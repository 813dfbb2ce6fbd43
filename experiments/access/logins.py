"""Throttles logins by account and by address, and logs every attempt.

The attempt is stored before the password is checked, so that concurrent attempts cannot pass
together. An attempt over a limit is refused without hashing."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Max, Q, QuerySet

from experiments.models import LoginAttempt
from experiments.storage.unit_hash import hash_unit

log = logging.getLogger("switchyard.login")

Result = LoginAttempt.Result

# Multiples of LOGIN_FAILURES: for an account from addresses it was never used from, and for an
# address over all its accounts, so that colleagues behind one address do not lock each other out.
ACCOUNT_FACTOR = 4
ADDRESS_FACTOR = 10
# An address from which the account was used lately stays open whatever others try on the account.
KNOWN_FOR = timedelta(days=30)


class TooManyFailuresError(Exception):
    """`retry_after` is how many seconds to wait."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        minutes = ceil(retry_after / 60)
        unit = "minute" if minutes == 1 else "minutes"
        super().__init__(f"Too many failed logins. Try again in {minutes} {unit}.")


class LoginSource(NamedTuple):
    """What is throttled: the account as typed, hashed, and the address of the attempt."""

    account: str
    address: str


def address_of(meta: Mapping[str, object]) -> str:
    """The caller's address, behind as many proxies as PROXY_COUNT says. IPv6 addresses count by
    network of 64 bits: a household or server has all of its addresses."""
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    hops = [*filter(None, map(str.strip, forwarded)), str(meta.get("REMOTE_ADDR", ""))]
    text = hops[max(0, len(hops) - 1 - settings.PROXY_COUNT)]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def begin(username: str, address: str, now: datetime) -> LoginAttempt:
    """Stores the attempt as failed. Raises TooManyFailuresError: then no password is checked."""
    source = LoginSource(hash_unit(f"login:{username.strip().casefold()}"), address)
    _refuse(source, None, now)
    known = get_user_model()._default_manager.filter(username=username).exists()
    attempt = LoginAttempt.objects.create(
        at=now, account=source.account, username=username if known else "", address=address
    )
    try:
        _refuse(source, attempt, now)  # concurrent attempts may have been stored since
    except TooManyFailuresError:
        attempt.delete()
        raise
    return attempt


def _refuse(source: LoginSource, own: LoginAttempt | None, now: datetime) -> None:
    wait = _seconds_to_wait(source, own, now)
    if wait is not None:
        log.warning("login refused", extra={"address": source.address, "retry_after": wait})
        raise TooManyFailuresError(wait)


def succeed(attempt: LoginAttempt) -> None:
    LoginAttempt.objects.filter(pk=attempt.pk).update(result=Result.SUCCEEDED)
    log.info("login succeeded", extra=_described(attempt))


def fail(attempt: LoginAttempt) -> None:
    log.warning("login failed", extra=_described(attempt))


def prune(before: datetime) -> int:
    """Deletes attempts made before that moment; returns how many."""
    deleted, _ = LoginAttempt.objects.filter(at__lt=before).delete()
    return deleted


def _seconds_to_wait(source: LoginSource, own: LoginAttempt | None, now: datetime) -> int | None:
    """Seconds until enough failures are older than the window; None if the attempt may proceed."""
    window = timedelta(seconds=settings.LOGIN_WINDOW_SECONDS)
    allowed = settings.LOGIN_FAILURES
    if not allowed:
        return None
    failures = LoginAttempt.objects.filter(result=Result.FAILED, at__gt=now - window)
    if own is not None:
        failures = failures.exclude(pk=own.pk)
    waits = [
        _wait(failures.filter(_since_success(source)), allowed),
        _wait(failures.filter(address=source.address), allowed * ADDRESS_FACTOR),
    ]
    if not _is_known(source, now):
        waits.append(_wait(failures.filter(account=source.account), allowed * ACCOUNT_FACTOR))
    moments = [moment for moment in waits if moment is not None]
    if not moments:
        return None
    return max(1, ceil((max(moments) + window - now).total_seconds()))


def _wait(failures: "QuerySet[LoginAttempt]", allowed: int) -> datetime | None:
    """The failure that must leave the window first; None if there are fewer than allowed."""
    newest = failures.order_by("-at").values_list("at", flat=True)[allowed - 1 : allowed]
    return next(iter(newest), None)


def _since_success(source: LoginSource) -> Q:
    """Failures of this account from this address since its last login from there."""
    pair = Q(account=source.account, address=source.address)
    last = LoginAttempt.objects.filter(pair, result=Result.SUCCEEDED).aggregate(at=Max("at"))["at"]
    return pair if last is None else pair & Q(at__gt=last)


def _is_known(source: LoginSource, now: datetime) -> bool:
    return LoginAttempt.objects.filter(
        account=source.account,
        address=source.address,
        result=Result.SUCCEEDED,
        at__gt=now - KNOWN_FOR,
    ).exists()


def _described(attempt: LoginAttempt) -> dict[str, str]:
    return {"account": attempt.username or "unknown", "address": attempt.address}
