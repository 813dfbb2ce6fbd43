"""Which addresses a provider endpoint may have."""

from ipaddress import ip_address

import pytest

from experiments.core.provider_addresses import (
    AddressRefusedError,
    host_of,
    literal_address,
    parse_networks,
    refuse_address,
)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_always_allowed(address: str) -> None:
    refuse_address(ip_address(address), ())


@pytest.mark.parametrize("address", ["8.8.8.8", "104.18.7.192", "2606:4700::6812:7c0"])
def test_public_addresses_are_allowed(address: str) -> None:
    refuse_address(ip_address(address), ())


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_link_local_and_metadata_addresses_are_never_allowed(address: str) -> None:
    with pytest.raises(AddressRefusedError):
        refuse_address(ip_address(address), parse_networks(["all"]))


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "172.16.0.1", "192.168.1.9", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"]
)
def test_private_networks_need_the_setting(address: str) -> None:
    with pytest.raises(AddressRefusedError, match="PROVIDER_PRIVATE_NETWORKS"):
        refuse_address(ip_address(address), ())
    refuse_address(ip_address(address), parse_networks(["all"]))


def test_only_the_named_network_is_allowed() -> None:
    networks = parse_networks(["10.0.0.0/8"])
    refuse_address(ip_address("10.9.9.9"), networks)
    with pytest.raises(AddressRefusedError):
        refuse_address(ip_address("192.168.1.1"), networks)


def test_a_wrong_network_is_refused() -> None:
    with pytest.raises(ValueError, match="ten"):
        parse_networks(["ten/8"])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://10.0.0.1:8000/v1", "10.0.0.1"),
        ("https://[fe80::1]/v1", "fe80::1"),
        ("https://api.openai.com/v1", "api.openai.com"),
        ("", ""),
        ("http://[broken", ""),
    ],
)
def test_the_host_of_a_url(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_zone_is_no_part_of_the_address() -> None:
    assert literal_address("fe80::1%eth0") == ip_address("fe80::1")
    assert literal_address("localhost") is None


@pytest.mark.parametrize(
    "host", ["2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0xa9.254"]
)
def test_old_spellings_are_addresses_too(host: str) -> None:
    assert literal_address(host) == ip_address("169.254.169.254")
