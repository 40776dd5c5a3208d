"""Which addresses are this machine's, and by which of them others reach it."""

from __future__ import annotations

import socket
import sys

from runtimes.local_addresses import LocalAddresses, _ipv4, _ipv6, _within, local_addresses

TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 192.168.1.0
        /24 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 169.254.3.4
        /32 host LOCAL
     |-- 172.17.0.1
        /32 host LOCAL
     |-- 192.168.1.5
        /32 host LOCAL
     |-- 192.168.1.255
        /32 link BROADCAST
"""
TABLE = """\
00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000005 04 40 00 82     eth0
fd000000000000000000000000000006 04 40 00 c0     eth0
fd000000000000000000000000000007 04 40 00 88     eth0
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
"""
_ORDER = slice(None, None, -1 if sys.byteorder == "little" else 1)


def _hex(address: str) -> str:
    return socket.inet_aton(address)[_ORDER].hex().upper()


ROUTES = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    f"eth0\t{_hex('192.168.1.0')}\t00000000\t0001\t0\t0\t0\t{_hex('255.255.255.0')}\t0\t0\t0\n"
    f"docker0\t{_hex('172.17.0.0')}\t00000000\t0001\t0\t0\t0\t{_hex('255.255.0.0')}\t0\t0\t0\n"
)


def test_what_others_reach_is_neither_loopback_nor_a_links_nor_for_containers() -> None:
    found = LocalAddresses(_ipv4(TRIE), _ipv6(TABLE), _within(ROUTES))
    assert found.reachable == ["192.168.1.5", "fd00::5"]
    for own in (
        "127.9.9.9",
        "172.17.0.1",
        "169.254.3.4",
        "::1",
        "fe80::fc:ff:fe00:1%eth0",
        "::ffff:192.168.1.5",
    ):
        assert own in found, own
    for other in ("192.168.1.6", "192.168.1.255", "0.0.0.0", "fd00::6", "::ffff:192.168.1.6"):
        assert other not in found, other


def test_a_machine_without_ipv6_has_no_such_addresses() -> None:
    assert LocalAddresses(_ipv4(TRIE), _ipv6(""), _within("")).ipv6 == frozenset()


def test_this_machine_has_its_own() -> None:
    found = local_addresses()
    assert "127.0.0.1" in found
    for address in found.reachable:
        # The kernel lets nobody have an address that is not this machine's.
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as own:
            own.bind((address, 0))
