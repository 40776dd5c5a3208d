"""Heads: what is refused, what is understood, and what may be passed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.head import BadHead, known_answers, parse_answer, parse_request


def request(*lines: str, start: str = "GET / HTTP/1.1", host: str = "Host: x") -> bytes:
    return "".join(f"{line}\r\n" for line in (start, *([host] if host else []), *lines, "")).encode("latin-1")


def answer(*lines: str, start: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (start, *lines, "")).encode("latin-1")


# Requests


@pytest.mark.parametrize(
    ("head", "status"),
    [
        # Two ways to read where the body ends.
        (request("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (request("Transfer-Encoding: chunked", "Content-Length: 1"), 400),
        (request("Content-Length: 1", "Content-Length: 2"), 400),
        (request("Content-Length: 1", "Content-Length: 1"), 400),
        (request("Content-Length: 1, 1"), 400),
        (request("Content-Length: +1"), 400),
        (request("Content-Length: -1"), 400),
        (request("Content-Length: 0x1"), 400),
        (request("Content-Length: 1 2"), 400),
        (request("Content-Length: 1_0"), 400),
        (request("Content-Length:"), 400),
        (request("Content-Length: ²"), 400),
        (request("Content-Length: 99999999999999999999"), 400),
        (request("Content-Length : 1"), 400),
        (request("Transfer-Encoding: gzip, chunked"), 501),
        (request("Transfer-Encoding: identity"), 400),
        (request("Transfer-Encoding: chunked, chunked"), 400),
        (request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (request("Transfer-Encoding: xchunked"), 400),
        (request("Transfer-Encoding: \x0bchunked"), 400),
        (request("Transfer-Encoding: chunked", start="POST / HTTP/1.0"), 400),
        # What is no line of a head.
        (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400),
        (request(" folded: x"), 400),
        (request("A: b", "\tfolded"), 400),
        (request("A: a\x00b"), 400),
        (request("A: a\x7fb"), 400),
        (request("no colon"), 400),
        (request(": no name"), 400),
        (request("sp ace: x"), 400),
        (request("ü: x"), 400),
        # Targets and versions.
        (request(start="GET http://x/ HTTP/1.1"), 400),
        (request(start="GET x HTTP/1.1"), 400),
        (request(start="GET * HTTP/1.1"), 400),
        (request(start="OPTIONS * HTTP/1.1"), 400),
        (request(start="CONNECT x:1 HTTP/1.1"), 400),
        (request(start="GET /# HTTP/1.1"), 400),
        (request(start="GET /a b HTTP/1.1"), 400),
        (request(start="GET /\x01 HTTP/1.1"), 400),
        (request(start="GET /ü HTTP/1.1"), 400),
        (request(start="GET  / HTTP/1.1"), 400),
        (request(start="GET / HTTP/1.1 "), 400),
        (request(start="GET / HTTP/2.0"), 400),
        (request(start="GET / HTTP/1.2"), 400),
        (request(start="GET /"), 400),
        (request(start="get / HTTP/1.1"), 400),
        (request(start="BREW / HTTP/1.1"), 400),
        (request(start="GET / RTSP/1.0"), 400),
        # Hosts.
        (request(host=""), 400),
        (request("Host: y"), 400),
        (request(host="Host:"), 400),
        (request(host="Host: a b"), 400),
        (request(host="Host: a,b"), 400),
        (request(host="Host: a@b"), 400),
        (request(host="Host: a/b"), 400),
        (request(host="Host: a:b"), 400),
        (request(host="Host: a:123456"), 400),
        (request(host="Host: [::1"), 400),
        (request("Expect: something"), 417),
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadHead) as caught:
        parse_request(head)
    assert caught.value.status == status


def test_a_request_is_understood() -> None:
    head = parse_request(
        request(
            "Content-Length: 12", "Authorization: bearer  abc ", "X-Request-Id: r1", "Expect: 100-Continue",
            start="POST /a/b?c=d HTTP/1.1", host="Host: Notes.Localhost.:2835",
        )
    )  # fmt: skip
    assert (head.method, head.target, head.path, head.query) == (b"POST", b"/a/b?c=d", b"/a/b", b"c=d")
    assert (head.host, head.authority, head.length) == ("notes.localhost", b"Notes.Localhost.:2835", 12)
    assert (head.token, head.request_id, head.expects_continue) == ("abc", b"r1", True)
    assert head.keep_alive


@pytest.mark.parametrize(
    ("start", "connection", "keeps"),
    [
        ("GET / HTTP/1.1", "", True),
        ("GET / HTTP/1.1", "close", False),
        ("GET / HTTP/1.1", "x, Close", False),
        ("GET / HTTP/1.0", "", False),
        ("GET / HTTP/1.0", "Keep-Alive", True),
    ],
)
def test_who_keeps_the_connection(start: str, connection: str, keeps: bool) -> None:
    lines = [f"Connection: {connection}"] if connection else []
    assert parse_request(request(*lines, start=start)).keep_alive is keeps


@pytest.mark.parametrize(
    "line",
    [
        "Atek-Auth-User: system",
        "atek-auth-service: system",
        "ATEK_AUTH_USER: system",
        "Atek-Auth_User: system",
        "atek-auth-anything-else: x",
        "Connection: x",
        "Keep-Alive: x",
        "Proxy-Connection: x",
        "Proxy-Authorization: x",
        "TE: trailers",
        "Trailer: x",
        "Upgrade: h2c",
        "Content-Length: 3",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: bank.example",
        "X-Real-IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
        "Authorization: Bearer secret",
    ],
)
def test_what_is_not_passed_on(line: str) -> None:
    assert parse_request(request(line)).passed == b"Host: x\r\n"


def test_what_connection_names_is_for_this_hop_alone() -> None:
    head = parse_request(request("A: 1", "B: 2", "Connection: close, b , Host"))
    assert head.passed == b"Host: x\r\nA: 1\r\n"


def test_everything_else_is_passed_on_in_order() -> None:
    lines = ["Accept: */*", "Cookie: a=1", "Cookie: b=2", "X: ü", "Sec-WebSocket-Key: k"]
    assert parse_request(request(*lines)).passed.decode("latin-1").split("\r\n") == ["Host: x", *lines, ""]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    for head in (data + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n" + data + b"\r\n\r\n"):
        try:
            parsed = parse_request(head)
        except BadHead as error:
            assert error.status in (400, 417, 501)
        else:
            # What is passed on are whole lines, without anything that could be taken for the end of the head.
            assert parsed.passed == b"" or parsed.passed.endswith(b"\r\n")
            lines = parsed.passed.split(b"\r\n")[:-1]
            assert all(b":" in line and not {13, 10, 0} & set(line) for line in lines)


# Answers


def understood(head: bytes, method: bytes = b"GET") -> tuple[int, int, bool]:
    parsed = parse_answer(head, known_answers(method))
    return parsed.status, parsed.length, parsed.keep_alive


@pytest.mark.parametrize(
    ("head", "method", "result"),
    [
        (answer("Content-Length: 5"), b"GET", (200, 5, True)),
        (answer("Transfer-Encoding: chunked"), b"GET", (200, -1, True)),
        (answer(), b"GET", (200, -2, False)),
        (answer("Content-Length: 5", "Connection: close"), b"GET", (200, 5, False)),
        (answer("Content-Length: 5", start="HTTP/1.0 200 OK"), b"GET", (200, 5, False)),
        (answer("Content-Length: 5"), b"HEAD", (200, 0, True)),
        (answer("Transfer-Encoding: chunked"), b"HEAD", (200, 0, True)),
        (answer(start="HTTP/1.1 204 No Content"), b"GET", (204, 0, True)),
        (answer("Content-Length: 5", start="HTTP/1.1 304 Not Modified"), b"GET", (304, 0, True)),
        (answer(start="HTTP/1.1 200"), b"GET", (200, -2, False)),
        (answer(start="HTTP/1.1 100 Continue"), b"GET", (100, 0, True)),
    ],
)
def test_an_answer_is_understood(head: bytes, method: bytes, result: tuple[int, int, bool]) -> None:
    assert understood(head, method) == result


def test_an_answer_to_head_is_not_taken_for_one_to_get() -> None:
    head = answer("Content-Length: 7")
    assert [understood(head, method)[1] for method in (b"HEAD", b"GET", b"HEAD")] == [0, 7, 0]


@pytest.mark.parametrize(
    "head",
    [
        answer("Content-Length: 1", "Transfer-Encoding: chunked"),
        answer("Content-Length: 1", "Content-Length: 2"),
        answer("Content-Length: x"),
        answer("Transfer-Encoding: gzip, chunked"),
        answer("Transfer-Encoding: chunked", start="HTTP/1.0 200 OK"),
        answer("A: a\x00b"),
        answer(" folded"),
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: x\r\n\r\n",
        answer(start="HTTP/2 200 OK"),
        answer(start="HTTP/1.1 20 OK"),
        answer(start="HTTP/1.1 600 Odd"),
        answer(start="ICY 200 OK"),
        answer(start="hello"),
    ],
)
def test_answers_that_could_be_read_in_two_ways_are_refused(head: bytes) -> None:
    with pytest.raises(BadHead):
        parse_answer(head, known_answers(b"GET"))


def test_what_of_an_answer_is_passed_on() -> None:
    head = answer(
        "Set-Cookie: a", "Set-Cookie: b", "Keep-Alive: timeout=5", "Connection: X", "X: 1", "Date: d"
    )
    parsed = parse_answer(head, known_answers(b"GET"))
    assert parsed.passed == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: d\r\n"
    assert parsed.keep_alive_seconds == 5
    assert not parsed.endless
    stream = parse_answer(answer("Content-Type: text/event-stream; charset=utf-8"), known_answers(b"GET"))
    assert stream.endless


def test_memories_are_bounded() -> None:
    from runtimes.router import head as module

    for number in range(3 * module.REMEMBERED):
        parse_request(request(f"X: {number}"))
        parse_answer(answer(f"X: {number}"), known_answers(b"GET"))
    parse_request(request("X: " + "y" * module.REMEMBERED_LENGTH))
    assert len(module._requests) <= module.REMEMBERED and len(module._answers) <= module.REMEMBERED
    assert max(map(len, module._requests)) <= module.REMEMBERED_LENGTH
