"""Checks where provider calls go: the host as written, and the addresses it resolves to."""

import asyncio
import socket
from functools import lru_cache

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from django.conf import settings

from experiments.core.provider_addresses import (
    AddressRefusedError,
    Network,
    host_of,
    literal_address,
    parse_networks,
    refuse_address,
)


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return parse_networks(texts)


def private_networks() -> tuple[Network, ...]:
    """The private networks that PROVIDER_PRIVATE_NETWORKS allows."""
    return _networks(tuple(settings.PROVIDER_PRIVATE_NETWORKS))


def refuse_written_address(base_url: str) -> None:
    """Raises AddressRefusedError if the URL's host is a forbidden address. A name passes: it is
    checked when it is resolved."""
    address = literal_address(host_of(base_url))
    if address is not None:
        refuse_address(address, private_networks())


async def refuse_resolved_address(base_url: str) -> None:
    """The same for every address that the host resolves to now. A name that does not resolve
    passes: the call itself reports that."""
    host = host_of(base_url)
    if not host:
        return
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_, sockaddr in found:
        _refuse(str(sockaddr[0]))


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp and refuses forbidden addresses when the connection is made: a
    name cannot change between the check and the call."""

    def __init__(self) -> None:
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            _refuse(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _refuse(address: str) -> None:
    literal = literal_address(address)
    if literal is None:
        raise AddressRefusedError(f"'{address}' is not an address.")
    refuse_address(literal, private_networks())
