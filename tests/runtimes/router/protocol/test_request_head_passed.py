"""What of a request head is passed on, what ends here, and what is remembered of it."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtimes.router.protocol.fields import BadHead
from runtimes.router.protocol.request_head import parse_request
from tests.runtimes.router.protocol.raw_heads import END, HOST, LINE, names, parse, passed, refused

# -- hop by hop


@pytest.mark.parametrize(
    "field",
    [b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers",
     b"Trailer: X-A", b"Upgrade: h2c", b"Proxy-Authorization: Basic eDp5", b"Proxy-Authenticate: Basic",
     b"Proxy_Connection: x", b"Keep_Alive: x"],
)  # fmt: skip
def test_what_is_for_one_hop_ends_here(field: bytes) -> None:
    assert names(parse(field)) == {b"host"}


@pytest.mark.parametrize("spelling", [b"X-A", b"x-a", b" X-a ", b"close, X-A", b"x-b,\tx-a\t,", b",,X-A"])
def test_what_connection_names_ends_here(spelling: bytes) -> None:
    assert names(parse(b"Connection: " + spelling, b"X-A: 1", b"X-C: 2")) == {b"host", b"x-c"}


def test_connection_in_several_fields() -> None:
    head = parse(b"Connection: x-a", b"Connection: x-b, close", b"X-A: 1", b"X-B: 2", b"X-C: 3")
    assert names(head) == {b"host", b"x-c"}
    assert not head.keep_alive


def test_connection_does_not_make_us_forget_what_a_request_means() -> None:
    """Nor what the node itself adds: those lines are not among the client's."""
    head = parse(
        b"Connection: host, cookie, content-length, authorization, atek-auth-user",
        b"Connection: x-forwarded-for, x-request-id, origin",
        b"Content-Length: 5",
        b"Cookie: session=s; a=b",
        b"Authorization: Bearer T",
        b"X-Request-Id: r",
        b"Origin: http://evil.example",
    )
    assert names(head) == {b"host", b"cookie"}
    assert (head.length, head.token, head.cookie) == (5, "T", b"session=s; a=b")
    assert (head.request_id, head.origin, head.host) == (b"r", b"http://evil.example", "notes.localhost")


@pytest.mark.parametrize(
    ("line", "connection", "keeps"),
    [
        (LINE, b"", True),
        (LINE, b"Connection: close\r\n", False),
        (LINE, b"Connection: Keep-Alive, CLOSE\r\n", False),
        (LINE, b"Connection: closed\r\n", True),
        (b"GET / HTTP/1.0\r\n", b"", False),
        (b"GET / HTTP/1.0\r\n", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_who_keeps_the_connection(line: bytes, connection: bytes, *, keeps: bool) -> None:
    assert parse_request(line + HOST + connection + END).keep_alive is keeps


@pytest.mark.parametrize(
    ("fields", "upgrade"),
    [
        ((b"Connection: Upgrade", b"Upgrade: WebSocket"), b"websocket"),
        ((b"Connection: keep-alive, upgrade", b"Upgrade: websocket"), b"websocket"),
        ((b"Upgrade: websocket",), b""),
        ((b"Connection: upgrade",), b""),
        ((b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c"), b"websocket"),
        ((b"Connection: upgrade", b"Upgrade: tcp"), b"tcp"),
        ((b"Connection: upgrade", b"Upgrade: IRC/6.9,  SHTTP/1.3", b"Upgrade: x y"), b"irc/6.9, shttp/1.3"),
        ((b"Connection: upgrade", b"Upgrade: h2c"), b""),
        ((b"Connection: upgrade", b"Upgrade: HTTP/2.0, TLS/1.0, h2c"), b""),
        ((b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"), b""),
    ],
)
def test_upgrades(fields: tuple[bytes, ...], upgrade: bytes) -> None:
    head = parse(*fields)
    assert head.upgrade == upgrade
    assert names(head) == {b"host"}


def test_http_1_0_knows_no_upgrade() -> None:
    head = parse(b"Connection: Upgrade", b"Upgrade: websocket", line=b"GET / HTTP/1.0\r\n")
    assert head.upgrade == b""


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b"", b"100-continue;x"])
def test_expectations_that_cannot_be_met(value: bytes) -> None:
    assert refused(LINE + HOST + b"Expect: " + value + b"\r\n" + END) == 417


def test_two_expectations() -> None:
    assert refused(LINE + HOST + b"Expect: 100-continue\r\nExpect: 100-continue\r\n" + END) == 417


def test_the_expectation_of_a_body() -> None:
    assert parse(b"Expect: 100-Continue").expects_continue
    assert not parse(b"Expect: anything", line=b"POST / HTTP/1.0\r\n").expects_continue
    assert names(parse(b"Expect: 100-continue")) == {b"host"}


# -- what is known and emitted again


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer T", "T"),
        (b"bearer  T ", "T"),
        (b"BEARER T", "T"),
        (b"Bearer", ""),
        (b"Bearer ", ""),
        (b"Basic T", ""),
        (b"T", ""),
        (b"Bearer T\xc3", ""),
        (b"Bearer a b", "a b"),
        (b"Bearer\tT", ""),
    ],
)
def test_the_token_of_an_authorization(value: bytes, token: str) -> None:
    head = parse(b"Authorization: " + value)
    assert head.token == token
    assert names(head) == {b"host"}


def test_two_authorizations_are_none() -> None:
    head = parse(b"Authorization: Bearer A", b"authorization: Bearer B")
    assert (head.token, head.authorization, names(head)) == ("", b"", {b"host"})


def test_two_origins_are_nobodys() -> None:
    """A page of another origin cannot become none by saying two."""
    head = parse(b"Origin: http://evil.example", b"Origin: http://notes.localhost")
    assert head.origin not in (b"", b"http://notes.localhost")


@pytest.mark.parametrize("value", [b"a b", b"", b"\xff", b"x" * 129, b"a\tb"])
def test_request_ids_that_are_replaced(value: bytes) -> None:
    assert parse(b"X-Request-Id: " + value).request_id == b""


def test_request_ids_that_are_kept() -> None:
    assert parse(b'X-Request-Id: 8a-~!%"').request_id == b'8a-~!%"'
    assert parse(b"X-Request-Id: a", b"X-Request-Id: b").request_id == b""


@pytest.mark.parametrize(
    "field",
    [b"Forwarded: for=10.0.0.1", b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Host: a",
     b"X-Forwarded-Proto: https",
     b"X-Forwarded-Port: 443", b"X-Real-IP: 10.0.0.1", b"Via: 1.1 proxy", b"X-Forwarded-For:"],
)  # fmt: skip
def test_a_proxy_is_known_by_what_it_adds(field: bytes) -> None:
    assert parse(field).for_another
    assert not parse(b"X-A: 1").for_another


# -- properties

tokens = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12)
values = st.binary(max_size=12).map(lambda raw: bytes(b for b in raw if b in b"\t" or 0x20 <= b != 0x7F))
fragments = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b": ", b":", b" ", b"\t", b"\x00", b",", b"5", b"GET / HTTP/1.1", b"Host: a",
     b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close", b"X-A: b", b"\r\n\r\n",
     b"\x80",
     b"Atek-Auth-User: system", b"Transfer-Encoding: identity", b"Host: b.localhost", b"Upgrade: websocket"],
)  # fmt: skip


def cut(raw: bytes) -> bytes:
    """The head as a connection would find it."""
    return raw[: (raw + b"\r\n\r\n").index(b"\r\n\r\n")] + b"\r\n\r\n"


@given(st.one_of(st.lists(fragments, max_size=12).map(b"".join), st.binary(max_size=60)))
@example(b"\r\n X: y")
def test_whatever_is_accepted_is_read_in_the_same_way_by_another_parser(tail: bytes) -> None:
    head = cut(LINE + HOST + tail)
    try:
        ours = parse_request(head)
    except BadHead:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(head)
    theirs = other.next_event()
    assert isinstance(theirs, h11.Request)
    assert (theirs.method, theirs.target) == (ours.method, ours.target)
    fields = list(theirs.headers)
    lengths = [int(value) for name, value in fields if name == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in fields)
    assert ours.length == (-1 if chunked else (lengths or [0])[0])
    # Everything that is passed on was sent, and in this order.
    rest = iter(fields)
    assert all(any(field == line for field in rest) for line in passed(ours))


@given(st.binary(max_size=300).map(cut))
def test_parsing_is_total(head: bytes) -> None:
    try:
        parse_request(head)
    except BadHead as error:
        assert error.status in (400, 417, 501)
        assert error.message


@given(st.lists(st.tuples(tokens, values), max_size=6))
def test_what_is_passed_on_is_well_formed(fields: list[tuple[str, bytes]]) -> None:
    try:
        head = parse(*(name.encode() + b": " + value for name, value in fields))
    except BadHead:
        return
    for lines in (head.passed, head.passed_without_cookie):
        again = parse_request(LINE + lines + END)
        assert again.passed == lines
        assert again.length == 0
