"""Which addresses a provider endpoint may have. Pure: names are resolved elsewhere.

Loopback is allowed for local models. Link-local addresses, where clouds serve credentials, and
other addresses that no provider has are never allowed. Private networks need permission.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from socket import inet_aton
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Metadata services outside the link-local ranges: Amazon (IPv6), Alibaba, Oracle.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
_CARRIER_GRADE = ip_network("100.64.0.0/10")
_NAT64 = ip_network("64:ff9b::/96")


class AddressRefusedError(ValueError):
    """Calls to this address are not allowed. The message has the reason and what to do."""


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as 10.0.0.0/8; `all` means every private network. Raises ValueError."""
    found: list[Network] = []
    for text in texts:
        if text.lower() == "all":
            found += [ip_network("0.0.0.0/0"), ip_network("::/0")]
        else:
            found.append(ip_network(text, strict=False))
    return tuple(found)


def host_of(base_url: str) -> str:
    """The host of a URL without brackets; empty if there is none."""
    try:
        return urlsplit(base_url).hostname or ""
    except ValueError:
        return ""


def literal_address(host: str) -> Address | None:
    """The host as an IP address, including old forms of IPv4 (`2852039166`, `0xa9fea9fe`,
    `169.254.43518`); None for a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ip_address(inet_aton(host))
    except OSError:
        return None


def refuse_address(address: Address, private: Iterable[Network]) -> None:
    """Raises AddressRefusedError unless calls to the address are allowed. `private` are the
    networks allowed in addition to public ones and loopback."""
    plain = _embedded(address)
    if plain.is_loopback:
        return
    if plain in _METADATA or plain.is_link_local:
        raise AddressRefusedError(
            f"{plain} is a link-local or metadata address. Providers cannot have one."
        )
    if plain.is_unspecified or plain.is_multicast or _is_reserved(plain):
        raise AddressRefusedError(f"{plain} is reserved. Providers cannot have such an address.")
    if _is_private(plain) and not any(plain in network for network in private):
        raise AddressRefusedError(
            f"{plain} is in a private network. Add the network to PROVIDER_PRIVATE_NETWORKS to "
            "call models there."
        )


def _embedded(address: Address) -> Address:
    """The IPv4 address embedded in an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_reserved(address: Address) -> bool:
    return address.is_reserved or (
        isinstance(address, IPv4Address) and address in ip_network("0.0.0.0/8")
    )


def _is_private(address: Address) -> bool:
    return address.is_private or address in _CARRIER_GRADE
