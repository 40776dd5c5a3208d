"""Whose page asks, by what browsers say of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.protocol.origins import is_own
from tests.runtimes.router.protocol.raw_heads import parse

OWN, OTHER = b"Origin: http://notes.localhost:2835", b"Origin: http://evil.localhost:2835"


@pytest.mark.parametrize(
    ("fields", "foreign"),
    [
        ((), False),
        ((OWN,), False),
        ((b"Origin: HTTP://Notes.LocalHost:2835",), False),
        ((OTHER,), True),
        ((b"Origin: null",), True),
        ((b"Origin:",), True),
        ((b"Origin: http://notes.localhost",), True),
        ((b"Origin: http://notes.localhost:2836",), True),
        ((b"Origin: http://notes.localhost:2835.evil.example",), True),
        ((b"Origin: http://notes.localhost:2835@evil.example",), True),
        ((b"Origin: http://evil.example#notes.localhost:2835",), True),
        ((b"Origin: notes.localhost:2835",), True),
        ((b"Origin: file://",), True),
        ((b"Origin: chrome-extension://notes.localhost:2835",), True),
        ((OWN, OTHER), True),
        ((OTHER, OWN), True),
        ((b"Origin: http://notes.localhost:2835 http://evil.example",), True),
        ((b"Sec-Fetch-Site: same-origin",), False),
        ((b"Sec-Fetch-Site: none",), False),
        ((b"Sec-Fetch-Site: cross-site",), True),
        ((b"Sec-Fetch-Site: same-site",), True),
        ((b"Sec-Fetch-Site: SAME-ORIGIN",), True),
        ((b"Sec-Fetch-Site: something-new",), True),
        ((b"Sec-Fetch-Site:",), True),
        ((b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site"), True),
        ((b"Sec-Fetch-Site: cross-site, same-origin",), True),
        # Behind a proxy that changes the Host, its own pages have another origin than it.
        ((b"Sec-Fetch-Site: same-origin", OTHER), False),
        ((b"Sec-Fetch-Site: cross-site", OWN), True),
    ],
)
def test_whose_page_asks(fields: tuple[bytes, ...], foreign: bool) -> None:
    assert parse(*fields).foreign is foreign


@pytest.mark.parametrize(
    ("origin", "authority", "own"),
    [
        (b"https://notes.example", b"notes.example", True),
        (b"https://notes.example", b"notes.example:443", True),
        (b"https://notes.example:443", b"notes.example", True),
        (b"http://notes.example", b"notes.example:80", True),
        (b"http://notes.example", b"notes.example:443", False),
        (b"https://notes.example", b"notes.example:80", False),
        (b"https://notes.example:8443", b"notes.example", False),
        (b"http://notes.example.", b"notes.example", True),
        (b"http://[::1]:2835", b"[::1]:2835", True),
        (b"http://[::1]", b"[::1]", True),
        (b"http://[::1]:2835", b"[::2]:2835", False),
        (b"http://[::1]", b"[::1]:2835", False),
        (b"http://", b"", False),
        (b"http://:80", b":80", False),
        (b"http://notes.example", b"", False),
    ],
)
def test_the_host_that_is_asked_is_the_origin(origin: bytes, authority: bytes, own: bool) -> None:
    assert is_own(origin, authority) is own


hosts = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,2}", fullmatch=True)
ports = st.one_of(st.none(), st.integers(1, 65535))


@given(st.sampled_from(["http", "https"]), hosts, ports, hosts, ports)
def test_only_the_same_host_and_port_are_own(
    scheme: str, host: str, port: int | None, other: str, other_port: int | None
) -> None:
    default = 443 if scheme == "https" else 80
    origin = f"{scheme}://{host}" + (f":{port}" if port else "")
    authority = other + (f":{other_port}" if other_port else "")
    same = (host, port or default) == (other, other_port or default)
    assert is_own(origin.encode(), authority.encode()) is same
    assert is_own(origin.encode(), origin.partition("://")[2].encode())


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_compared(origin: bytes, authority: bytes) -> None:
    assert is_own(origin, authority) in (True, False)


@pytest.mark.parametrize(
    ("line", "fields", "preflight", "wider"),
    [
        (b"OPTIONS / HTTP/1.1\r\n", (b"Access-Control-Request-Method: PUT",), True, False),
        (b"OPTIONS / HTTP/1.1\r\n", (b"Access-Control-Request-Headers: x",), False, False),
        (b"GET / HTTP/1.1\r\n", (b"Access-Control-Request-Method: PUT",), False, False),
        (b"OPTIONS / HTTP/1.1\r\n", (b"Access-Control-Request-Private-Network: true",), False, True),
        (b"OPTIONS / HTTP/1.1\r\n", (b"access-control-request-local-network: true",), False, True),
        (b"GET / HTTP/1.1\r\n", (b"Access-Control-Request-Private-Network: true",), False, False),
    ],
)
def test_what_a_browser_asks_before_a_page_may(
    line: bytes, fields: tuple[bytes, ...], *, preflight: bool, wider: bool
) -> None:
    head = parse(*fields, line=line)
    assert (head.preflight, head.from_wider_network) == (preflight, wider)
