"""Leases that all processes share, in Redis (`REDIS_URL`).

A lease in Redis is a row like any other (`experiments.limits.leases`); only what is left of it is
kept there, and a script subtracts calls from it, so that processes use one lease together. The
database stays the authority: a lease that Redis has lost, or that others have ended, admits
nothing. If Redis does not answer in time, the process leases for itself for a while.

Redis that comes back with older data of a lease which still exists (restored from a copy, or a
replica that lagged) gives out again what it had given out since: at most that one lease, an eighth
of what was left of the key's limits when it began."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, TypeVar
from uuid import UUID, uuid5

from django.conf import settings

from experiments.limits.leases import Draw, Lease, ProcessHolder, Want

log = logging.getLogger("switchyard.limits")

PATIENCE_SECONDS = 0.25
SILENT_SECONDS = 5.0
KEPT_SECONDS = 2 * 24 * 60 * 60
_NAMESPACE = UUID("0f0e4f0c-7d3a-4c1e-9d0e-6d1f5b0a7c55")
Result = TypeVar("Result")

# Numbers are added by Redis, which is exact; of what it returns only the sign counts, which a
# floating-point number of Lua keeps.
_DRAW = """
local held = redis.call('HMGET', KEYS[1], 'lease', 'terms')
if not held[1] then return {'', 0} end
if held[2] ~= ARGV[1] then return {held[1], 0} end
local names, is_covered = {'requests', 'tokens', 'cost'}, 1
for i, name in ipairs(names) do
  if ARGV[i + 1] ~= '0' then
    if redis.call('HINCRBY', KEYS[1], name, '-' .. ARGV[i + 1]) < 0 then is_covered = 0 end
  end
end
if is_covered == 0 then
  for i, name in ipairs(names) do redis.call('HINCRBY', KEYS[1], name, ARGV[i + 1]) end
end
return {held[1], is_covered}
"""
_KEEP = """
local held = redis.call('HGET', KEYS[1], 'lease')
if held and ARGV[1] ~= '' and held ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease', ARGV[2], 'terms', ARGV[3],
           'requests', ARGV[4], 'tokens', ARGV[5], 'cost', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
return 1
"""
_DISCARD = """
if redis.call('HGET', KEYS[1], 'lease') == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class SharedHolder:
    """Holds leases in Redis; in `process` without REDIS_URL, and while Redis does not answer."""

    def __init__(self, name: str, process: ProcessHolder) -> None:
        self._name = name
        self._process = process
        self.id = uuid5(_NAMESPACE, name)
        self._silent_until = float("-inf")

    def draw(self, wants: Sequence[Want]) -> list[Draw]:
        found = self._asked(lambda: self._draw(wants)) if wants else []
        return self._process.draw(wants) if found is None else found

    def keep(self, lease: Lease, want: Want, instead_of: UUID | None) -> None:
        if lease.holder != self.id:
            self._process.keep(lease, want, instead_of)
            return
        values = [instead_of or "", lease.id, _terms(want), *lease.amounts, KEPT_SECONDS]
        self._asked(lambda: self._run(_KEEP, lease.key_id, values))

    def discard(self, draws: Iterable[Draw]) -> None:
        draws = list(draws)
        self._process.discard(draws)
        for draw in draws:
            if draw.holder == self.id:
                self._asked(partial(self._run, _DISCARD, draw.key_id, [draw.lease]))

    def _draw(self, wants: Sequence[Want]) -> list[Draw]:
        run = _client(settings.REDIS_URL).register_script(_DRAW)
        with run.registered_client.pipeline(transaction=False) as pipeline:
            for want in wants:
                run([self._key(want.key_id)], [_terms(want), *want.amounts], pipeline)
            answers = pipeline.execute()
        return [
            Draw(want.key_id, self.id, UUID(lease.decode()) if lease else None, bool(is_covered))
            for want, (lease, is_covered) in zip(wants, answers, strict=True)
        ]

    def _run(self, script: str, key_id: int, values: Sequence[Any]) -> object:
        run = _client(settings.REDIS_URL).register_script(script)
        return run([self._key(key_id)], [str(value) for value in values])

    def _key(self, key_id: int) -> str:
        return f"switchyard:{self._name}:{key_id}"

    def _asked(self, ask: Callable[[], Result]) -> Result | None:
        """None if Redis does not answer: then it is not asked for a while."""
        if not settings.REDIS_URL or time.monotonic() < self._silent_until:
            return None
        try:
            return ask()
        except _failures() as error:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            log.warning("Redis does not answer; this process leases limits for itself: %s", error)
            return None


@cache
def _client(url: str) -> Any:
    """One for each process: redis-py makes new connections after a fork."""
    import redis  # noqa: PLC0415 - loaded only where it is used

    return redis.Redis.from_url(
        url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
    )


def _failures() -> tuple[type[Exception], ...]:
    import redis  # noqa: PLC0415

    return (redis.RedisError, OSError)


def _terms(want: Want) -> str:
    return " ".join(map(str, want.terms))
