"""Heads: what is refused, with which status, and what of the rest is passed on."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtimes.router import head as heads
from runtimes.router.head import BadHead, RequestHead, known_answers, parse_answer, parse_request

LINE = b"GET /a?b=c HTTP/1.1\r\n"
HOST = b"Host: notes.localhost:2835\r\n"
END = b"\r\n"


def parse(*fields: bytes, line: bytes = LINE, host: bytes = HOST) -> RequestHead:
    """With these field lines, given without their CRLF."""
    return parse_request(line + host + b"".join(field + b"\r\n" for field in fields) + END)


def refused(head: bytes) -> int:
    with pytest.raises(BadHead) as raised:
        parse_request(head)
    return raised.value.status


def passed(head: RequestHead) -> list[tuple[bytes, bytes]]:
    lines = head.passed.split(b"\r\n")
    assert lines.pop() == b""
    return [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]


def names(head: RequestHead) -> set[bytes]:
    return {name for name, _ in passed(head)}


# -- the request line


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET / HTTP/0.9",
        b"GET / HTTP/11",
        b"GET / http/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /",
        b"GET",
        b"",
        b" GET / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"get / HTTP/1.1",
        b"G\xc3T / HTTP/1.1",
        b"INVENTED / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET a HTTP/1.1",
        b"GET http://notes.localhost/ HTTP/1.1",
        b"GET https://evil.example/ HTTP/1.1",
        b"GET //[::1 HTTP/1.1 HTTP/1.1",
        b"GET notes.localhost:80 HTTP/1.1",
        b"CONNECT notes.localhost:80 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET /#fragment HTTP/1.1",
        b"GET /a?b#c HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\r HTTP/1.1",
        b"GET /\nX: y HTTP/1.1",
    ],
)
def test_request_lines_that_are_refused(line: bytes) -> None:
    assert refused(line + b"\r\n" + HOST + END) == 400


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\n\r", b"\r\r\n"])
def test_only_crlf_ends_the_request_line(ending: bytes) -> None:
    assert refused(b"GET / HTTP/1.1" + ending + HOST + END) == 400


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"M-SEARCH"]
)
def test_methods(method: bytes) -> None:
    head = parse(line=method + b' //x/../%2F?a=b?c&"<> HTTP/1.1\r\n')
    assert (head.method, head.target) == (method, b'//x/../%2F?a=b?c&"<>')
    assert (head.path, head.query) == (b"//x/../%2F", b'a=b?c&"<>')


# -- fields


@pytest.mark.parametrize(
    "field",
    [
        b"X-A : 1",
        b" X-A: 1",
        b"\tX-A: 1",
        b"X-A: 1\r\n folded",
        b"X-A: 1\r\n\tfolded",
        b"X-A: 1\nX-B: 2",
        b"X-A: 1\rX-B: 2",
        b"X-A: 1\r\r\nX-B: 2",
        b"X-A: 1\n\r\nX-B: 2",
        b"X-A: \x00",
        b"X-A: \x01",
        b"X-A: \x0b",
        b"X-A: \x7f",
        b"X-\x00A: 1",
        b"X\xc3: 1",
        b"X A: 1",
        b"X(A): 1",
        b'X"A: 1',
        b"X/A: 1",
        b"X@A: 1",
        b": 1",
        b"X-A",
        b"X-A\x00: 1",
    ],
)
def test_fields_that_are_refused(field: bytes) -> None:
    assert refused(LINE + HOST + field + b"\r\n" + END) == 400
    assert refused(LINE + field + b"\r\n" + HOST + END) == 400


def test_fields_are_passed_in_order_with_their_values_trimmed() -> None:
    head = parse(b"X-A:1", b"x-b: \t 2 \t", b"X-E:", b"X-A: \xff\t\xc3", b"!#$%&'*+-.^_`|~0: ~")
    assert passed(head) == [
        (b"host", b"notes.localhost:2835"),
        (b"x-a", b"1"),
        (b"x-b", b"2"),
        (b"x-e", b""),
        (b"x-a", b"\xff\t\xc3"),
        (b"!#$%&'*+-.^_`|~0", b"~"),
    ]


# -- Host


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"Host:\r\n",
        b"Host: \r\n",
        HOST + HOST,
        HOST + b"Host: evil.localhost\r\n",
        HOST + b"host:\r\n",
        b"Host: a, b\r\n",
        b"Host: a b\r\n",
        b"Host: user@notes.localhost\r\n",
        b"Host: notes.localhost/path\r\n",
        b"Host: notes.localhost?x\r\n",
        b"Host: notes.localhost#x\r\n",
        b"Host: notes.localhost\\x\r\n",
        b"Host: notes.localhost:\x20\x31\r\n",
        b"Host: notes.localhost:-1\r\n",
        b"Host: notes.localhost:123456\r\n",
        b"Host: notes.localhost:80:80\r\n",
        b"Host: notes.localhost:http\r\n",
        b"Host: http://notes.localhost\r\n",
        b"Host: [::1\r\n",
        b"Host: ::1\r\n",
        b"Host: [::1]x\r\n",
        b"Host: [::g]\r\n",
        b"Host: notes%2elocalhost\r\n",
        b"Host: n\xc3\xb6tes.localhost\r\n",
        b"Host: .\r\n",
        b"Host: .:80\r\n",
        b"Host: :80\r\n",
        b"Host: <script>\r\n",
        b"Host: a;b\r\n",
        b"Host: 'a'\r\n",
    ],
)
def test_hosts_that_are_refused(host: bytes) -> None:
    assert refused(LINE + host + END) == 400


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"notes.localhost", "notes.localhost"),
        (b"NOTES.LocalHost:2835", "notes.localhost"),
        (b"notes.localhost.", "notes.localhost"),
        (b"notes.localhost.:80", "notes.localhost"),
        (b"notes.localhost:", "notes.localhost"),
        (b"127.0.0.1:2835", "127.0.0.1"),
        (b"[::1]:2835", "[::1]"),
        (b"[FE80::1]", "[fe80::1]"),
        (b"my_host~1.home.example", "my_host~1.home.example"),
    ],
)
def test_the_name_of_a_host(value: bytes, host: str) -> None:
    head = parse(host=b"Host: " + value + b"\r\n")
    assert (head.host, head.authority) == (host, value)


def test_only_http_1_0_may_leave_the_host_out() -> None:
    old = parse_request(b"GET / HTTP/1.0\r\n\r\n")
    assert (old.host, old.authority, old.passed) == ("", b"", b"")
    assert refused(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert refused(b"GET / HTTP/1.0\r\n" + HOST + HOST + END) == 400


# -- how long the body is


@pytest.mark.parametrize(
    "value",
    [b"+5", b"-5", b"-0", b"5,5", b"5, 5", b"5 5", b"0x5", b"5.0", b"1e3", b"", b"five", b"5;", b"\xd9\xa5",
     b"5\t5", b"9223372036854775808", b"18446744073709551616", b"18446744073709551621", b"9" * 40,
     b"4611686018427387905"],
)  # fmt: skip
def test_lengths_that_are_refused(value: bytes) -> None:
    assert refused(LINE + HOST + b"Content-Length: " + value + b"\r\n" + END) == 400


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"5", 5), (b" 5\t", 5), (b"007", 7), (b"4611686018427387904", 1 << 62)]
)
def test_lengths(value: bytes, length: int) -> None:
    assert parse(b"Content-Length: " + value).length == length


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"content-length: 5"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 0"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: chunked,",),
        (b"Transfer-Encoding: chunkedx",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked;q=1",),
        (b'Transfer-Encoding: "chunked"',),
        (b"Transfer-Encoding: \x0bchunked",),
        (b"Transfer-Encoding: chunked\x00",),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: identity", b"Content-Length: 5"),
        (b"Transfer-Encoding: identity, chunked",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: ",),
        (b"Transfer-Encoding:", b"Content-Length: 5"),
        (b"Transfer-Encoding: ,chunked",),
    ],
)
def test_framing_that_two_would_read_differently_is_refused(fields: tuple[bytes, ...]) -> None:
    status = refused(LINE + HOST + b"".join(field + b"\r\n" for field in fields) + END)
    assert status in (400, 501)


def test_chunked_alone_is_understood_in_http_1_1_only() -> None:
    assert parse(b"Transfer-Encoding: chunked").length == -1
    assert parse(b"transfer-ENCODING: \t Chunked ").length == -1
    assert refused(b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n") == 400


def test_other_codings_are_not_implemented() -> None:
    assert refused(LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n" + END) == 501


@pytest.mark.parametrize(
    "name", [b"Content_Length", b"Transfer_Encoding", b"Content.Length", b"transfer~encoding"]
)
def test_other_spellings_say_nothing_and_are_not_passed_on(name: bytes) -> None:
    head = parse(name + b": 5")
    assert (head.length, passed(head)) == (0, [(b"host", b"notes.localhost:2835")])


# -- who somebody pretends to be


@pytest.mark.parametrize(
    "name",
    [b"Atek-Auth-User", b"ATEK-AUTH-USER", b"atek-auth-service", b"Atek_Auth_User", b"Atek-Auth_User",
     b"aTEK_aUTH_x",
     b"Atek-Auth-Anything", b"Atek-Auth-", b"Atek.Auth.User", b"Atek~Auth-User", b"Atek!Auth*User"],
)  # fmt: skip
def test_nobody_says_who_they_are(name: bytes) -> None:
    head = parse(name + b": system", b"X-A: 1", name + b":system")
    assert names(head) == {b"host", b"x-a"}
    assert b"system" not in head.passed + head.passed_without_cookie


@pytest.mark.parametrize("name", [b"Atek-Author", b"X-Atek-Auth-User", b"Atek-Auth"])
def test_other_names_are_everybodys(name: bytes) -> None:
    assert names(parse(name + b": x")) == {b"host", name.lower()}


def test_a_name_cannot_be_put_together_from_an_empty_field_and_the_next() -> None:
    head = parse(b"X:", b"Atek-Auth-User: system", b"Atek-Auth-User:", b"Y: 1")
    assert passed(head) == [(b"host", b"notes.localhost:2835"), (b"x", b""), (b"y", b"1")]


@pytest.mark.parametrize(
    "name",
    [b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Real-IP", b"Forwarded",
     b"X_Forwarded_For",
     b"X-Forwarded_Host", b"x_real_ip", b"X-Request-Id", b"X_Request_Id"],
)  # fmt: skip
def test_what_the_router_says_itself_is_not_passed_on(name: bytes) -> None:
    assert names(parse(name + b": 10.0.0.1")) == {b"host"}


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
        ((b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c"), b""),
        ((b"Connection: upgrade", b"Upgrade: h2c"), b"h2c"),
        ((b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"), b"h2c"),
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


# -- answers


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> heads.AnswerHead:
    raw = line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + END
    return parse_answer(raw, known_answers(method))


@pytest.mark.parametrize(
    ("line", "fields", "method", "length"),
    [
        (b"HTTP/1.1 200 OK", (b"Content-Length: 5",), b"GET", 5),
        (b"HTTP/1.1 200", (b"Content-Length: 0",), b"GET", 0),
        (b"HTTP/1.1 200 ", (b"Transfer-Encoding: chunked",), b"GET", -1),
        (b"HTTP/1.1 200 OK", (), b"GET", -2),
        (b"HTTP/1.0 200 OK", (), b"GET", -2),
        (b"HTTP/1.1 200 OK", (b"Content-Length: 5",), b"HEAD", 0),
        (b"HTTP/1.1 200 OK", (b"Transfer-Encoding: chunked",), b"HEAD", 0),
        (b"HTTP/1.1 200 OK", (), b"HEAD", 0),
        (b"HTTP/1.1 204 No Content", (b"Content-Length: 5",), b"GET", 0),
        (b"HTTP/1.1 204 No Content", (b"Transfer-Encoding: chunked",), b"GET", 0),
        (b"HTTP/1.1 304 Not Modified", (b"Content-Length: 5",), b"GET", 0),
        (b"HTTP/1.1 100 Continue", (), b"GET", 0),
        (b"HTTP/1.1 500 \xff\t!", (b"Content-Length: 5",), b"GET", 5),
    ],
)
def test_how_long_answers_are(line: bytes, fields: tuple[bytes, ...], method: bytes, length: int) -> None:
    assert answer(*fields, line=line, method=method).length == length


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 600 x\r\n\r\n",
        b"HTTP/1.1 2000 x\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_answers_that_cannot_be_trusted(raw: bytes, method: bytes) -> None:
    with pytest.raises(BadHead):
        parse_answer(raw, known_answers(method))


def test_what_of_an_answer_is_passed_on() -> None:
    head = answer(
        b"Set-Cookie: a=b",
        b"Connection: X-Hop, close",
        b"X-Hop: 1",
        b"Keep-Alive: timeout=5",
        b"Upgrade: h2c",
        b"Content-Length: 3",
        b"Set-Cookie: c=d",
    )
    assert head.passed == b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 3\r\n"
    assert head.complete == head.passed + b"\r\n"
    assert (head.keep_alive, head.keep_alive_seconds) == (False, 5.0)


def test_an_old_answer_is_passed_on_in_our_version() -> None:
    head = answer(b"Connection: keep-alive", b"Content-Length: 1", line=b"HTTP/1.0 200 Fine")
    assert head.passed == b"HTTP/1.1 200 Fine\r\nContent-Length: 1\r\n"
    assert head.keep_alive
    assert not answer(line=b"HTTP/1.0 200 OK").keep_alive


def test_an_answer_that_ends_with_the_connection_does_not_keep_it() -> None:
    assert not answer(b"Connection: keep-alive").keep_alive


def test_event_streams_are_endless() -> None:
    assert answer(b"Content-Type: text/event-stream; charset=utf-8").endless
    assert answer(b"content-type: Text/Event-Stream").endless
    assert not answer(b"Content-Type: text/html").endless


# -- memory


def test_heads_that_are_remembered_are_bounded() -> None:
    for number in range(3 * heads.REMEMBERED):
        parse(b"X-A: %d" % number)
        answer(b"X-A: %d" % number)
        answer(b"X-A: %d" % number, method=b"HEAD")
    for memory in (heads._requests, heads._answers, heads._answers_to_head):
        assert 0 < len(memory) <= heads.REMEMBERED


def test_long_heads_are_not_remembered() -> None:
    raw = LINE + HOST + b"X-A: " + b"a" * heads.REMEMBERED_LENGTH + b"\r\n" + END
    assert parse_request(raw) == parse_request(raw)
    assert raw not in heads._requests


def test_what_is_remembered_of_answers_to_head_is_not_an_answer_to_get() -> None:
    assert answer(b"Content-Length: 77", method=b"HEAD").length == 0
    assert answer(b"Content-Length: 77", method=b"GET").length == 77
    assert answer(b"Content-Length: 77", method=b"HEAD").length == 0
