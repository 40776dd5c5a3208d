"""Which destinations a manifest opens, and which addresses a name may stand for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.network.addresses import is_public, objection
from runtimes.network.inside import SERVICES, layout
from runtimes.network.rules import Rule, is_local, literal, plain_host, rules_of

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,6}){1,3}", fullmatch=True)
PORTS = st.integers(1, 65535)
ADDRESSES = st.one_of(
    st.ip_addresses(v=4), st.ip_addresses(v=6),
    st.sampled_from(["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "fd00::1", "1.1.1.1"]).map(
        ip_address
    ),
)  # fmt: skip
#: Of this machine or its network, in all the clothes that they wear.
NEAR = [
    "127.0.0.1", "127.83.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.1", "198.18.0.1", "::1", "::",
    "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1",
    "2001:0:0:0:0:0:80ff:fffe", "fec0::1",
]  # fmt: skip
FAR = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", NEAR)
def test_what_is_near_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", FAR)
def test_what_is_far_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NEAR)
def test_a_public_name_leads_to_nothing_near(address: str) -> None:
    assert objection(ip_address(address), None, Rule("api.example.com", 443))


@given(ADDRESSES, NAMES, PORTS)
def test_a_public_name_leads_to_public_addresses_only(
    address: IPv4Address | IPv6Address, name: str, port: int
) -> None:
    rule = rules_of([f"{name}:{port}"]).rules[0]
    if not rule.local and not is_public(address):
        assert objection(address, None, rule)
    if is_public(address):
        assert not objection(address, None, rule)


@given(ADDRESSES, PORTS)
def test_an_address_leads_to_itself_alone(address: IPv4Address | IPv6Address, port: int) -> None:
    text = f"[{address}]" if address.version == 6 else str(address)
    rules = rules_of([f"{text}:{port}"])
    assert rules.find(plain_host(text), port) is not None
    meant = literal(str(address)) or address
    said = objection(meant, None, rules.rules[0])
    assert bool(said) == (meant.is_multicast or meant.is_unspecified)


def test_this_machine_and_its_neighbours_are_known_by_the_address_that_it_dials_from() -> None:
    rule = Rule("api.example.com", 443)
    own = ip_address("93.184.215.14")
    assert objection(own, own, rule)
    assert not objection(own, ip_address("93.184.215.15"), rule)
    assert objection(ip_address("2606:4700:1:2::5"), ip_address("2606:4700:1:2::9"), rule)
    assert not objection(ip_address("2606:4700:1:3::5"), ip_address("2606:4700:1:2::9"), rule)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("nas.local", True), ("nas", True), ("nas.lan", True), ("ha.home.arpa", True), ("localhost", True),
        ("10.0.0.1", True), ("fd00::1", True), ("*.lan", True), ("api.example.com", False),
        ("localhost.example.com", False), ("*.example.com", False), ("local.example", False),
    ],
)  # fmt: skip
def test_names_that_mean_a_machine_of_this_house(host: str, local: bool) -> None:
    assert is_local(host) == local


def test_a_name_of_this_house_leads_to_a_neighbour_but_not_to_this_machine_nor_to_a_clouds_secrets() -> None:
    rule = rules_of(["nas.local:445"]).rules[0]
    assert not objection(ip_address("192.168.1.7"), None, rule)
    assert objection(ip_address("127.0.0.1"), None, rule)
    assert objection(ip_address("169.254.169.254"), None, rule)
    assert not objection(ip_address("127.0.0.1"), None, rules_of(["localhost:5432"]).rules[0])


@pytest.mark.parametrize(
    "asked",
    [
        "api.example.com", "API.Example.COM", "api.example.com.", "a.b.wild.example", "münchen.example",
        "xn--mnchen-3ya.example",
    ],
)  # fmt: skip
def test_names_are_compared_as_dns_does(asked: str) -> None:
    rules = rules_of(["api.example.com:443", "*.wild.example:443", "xn--mnchen-3ya.example:443"])
    assert rules.find(plain_host(asked), 443) is not None
    assert rules.find(plain_host(asked), 80) is None


@pytest.mark.parametrize(
    "asked",
    [
        "example.com", "evil-api.example.com", "api.example.com.evil.org", "wild.example", "wild.example.org",
        "xwild.example", "", ".", "a..b", "api.example.com\0.evil.org", "api.example.com@evil.org",
        "*.wild.example.x", "api.example.com:443", "[::1]", "1.2.3.4", "a" * 64 + ".wild.example",
    ],
)  # fmt: skip
def test_everything_else_is_refused(asked: str) -> None:
    rules = rules_of(["api.example.com:443", "*.wild.example:443"])
    assert rules.find(plain_host(asked), 443) is None


@given(st.text(max_size=30))
def test_any_text_is_a_host_that_stays_the_same_or_none(text: str) -> None:
    host = plain_host(text)
    assert plain_host(host) == host
    assert host.isascii()


@given(st.lists(st.tuples(NAMES, PORTS), max_size=20), st.lists(st.tuples(NAMES, PORTS), max_size=3))
def test_every_named_host_has_an_address_of_its_own_inside(
    named: list[tuple[str, int]], wild: list[tuple[str, int]]
) -> None:
    rules = rules_of([*(f"{n}:{p}" for n, p in named), *(f"*.{n}:{p}" for n, p in wild)])
    inside = layout(rules)
    assert set(inside.hosts) == {name for name, _ in named}
    addresses = list(inside.hosts.values())
    assert len(set(addresses)) == len(addresses)
    assert SERVICES not in addresses
    assert all(ip_address(each).is_loopback for each in addresses)
    assert {(inside.name_of(place.address), place.port) for place in inside.places} == set(named)
    assert not inside.addresses
    for line in inside.hosts_file.splitlines():
        address, name = line.split()
        assert inside.address_of(name) == address or name == "localhost"


def test_addresses_are_listened_for_where_they_are() -> None:
    inside = layout(rules_of(["10.0.0.5:80", "[2001:db8::7]:443", "localhost:5432", "127.0.0.9:1"]))
    places = {(each.address, each.port) for each in inside.places}
    assert places == {
        ("10.0.0.5", 80), ("2001:db8::7", 443), ("127.0.0.1", 5432), ("::1", 5432), ("127.0.0.9", 1),
    }  # fmt: skip
    assert inside.addresses == ("10.0.0.5", "2001:db8::7")
