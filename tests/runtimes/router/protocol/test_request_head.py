"""Request heads: what is refused, with which status, and how long the body is."""

from __future__ import annotations

import pytest

from runtimes.router.protocol.request_head import parse_request
from tests.runtimes.router.protocol.raw_heads import END, HOST, LINE, names, parse, passed, refused

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
        b"G(T / HTTP/1.1",
        b"G\xc3T / HTTP/1.1",
        b"GE:T / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET a HTTP/1.1",
        b"GET ftp://notes.localhost/ HTTP/1.1",
        b"GET http:/notes.localhost/ HTTP/1.1",
        b"GET http:///a HTTP/1.1",
        b"GET http://user@notes.localhost/ HTTP/1.1",
        b"GET http://user:secret@notes.localhost/ HTTP/1.1",
        b"GET http://notes.localhost\\@evil/ HTTP/1.1",
        b"GET http://notes.localhost/#fragment HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
        b"CONNECT http://notes.localhost/ HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS ** HTTP/1.1",
        b"GET //[::1 HTTP/1.1 HTTP/1.1",
        b"GET notes.localhost:80 HTTP/1.1",
        b"CONNECT notes.localhost:80 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
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
    "method",
    [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"M-SEARCH", b"PROPFIND", b"QUERY",
     b"INVENTED", b"get", b"X1", b"!#$%&'*+.^_`|~-", b"PRI", b"SOURCE"],
)  # fmt: skip
def test_methods(method: bytes) -> None:
    head = parse(line=method + b' //x/../%2F?a=b?c&"<> HTTP/1.1\r\n')
    assert (head.method, head.target) == (method, b'//x/../%2F?a=b?c&"<>')
    assert (head.path, head.query) == (b"//x/../%2F", b'a=b?c&"<>')


def test_a_target_may_be_a_url_whose_authority_stands_for_the_host() -> None:
    """RFC 9112, section 3.2.2: whatever Host says."""
    line = b"GET HTTP://Mail.localhost:80/a?b=c HTTP/1.1\r\n"
    head = parse(b"X-A: 1", line=line)
    assert (head.host, head.authority, head.target) == ("mail.localhost", b"Mail.localhost:80", b"/a?b=c")
    assert (head.path, head.query) == (b"/a", b"b=c")
    assert passed(head) == [(b"host", b"Mail.localhost:80"), (b"x-a", b"1")]
    assert refused(line + END) == 400
    assert refused(line + HOST + HOST + END) == 400


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (b"GET http://[::1]:2835 HTTP/1.1", b"/"),
        (b"GET https://[::1]:2835/ HTTP/1.1", b"/"),
        (b"GET http://[::1]?x=/y HTTP/1.1", b"/?x=/y"),
        (b"GET http://[::1]//a HTTP/1.1", b"//a"),
        (b"OPTIONS http://[::1] HTTP/1.1", b"*"),
        (b"OPTIONS http://[::1]/ HTTP/1.1", b"/"),
        (b"OPTIONS * HTTP/1.1", b"*"),
    ],
)
def test_the_path_of_a_url(line: bytes, target: bytes) -> None:
    assert parse(line=line + b"\r\n", host=b"Host: [::1]\r\n").target == target


def test_http_1_0_may_name_the_host_in_a_url_alone() -> None:
    old = parse_request(b"GET http://notes.localhost/ HTTP/1.0\r\n\r\n")
    assert (old.host, passed(old)) == ("notes.localhost", [(b"host", b"notes.localhost")])


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
