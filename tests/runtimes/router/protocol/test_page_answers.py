"""What a browser gets of what a service answers: cookies, framing, and who may read it."""

from __future__ import annotations

import pytest

from runtimes.router.protocol.answer_head import known_answers, parse_answer
from runtimes.router.protocol.page_answers import FRAMING, Reader
from tests.runtimes.router.protocol.raw_heads import END

FRAMED = b"%b: %b" % FRAMING
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket"


def lines(
    reader: Reader, *fields: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET"
) -> list[bytes]:
    """The field lines that go on."""
    raw = line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + END
    head = parse_answer(raw, known_answers(method, reader))
    assert head.complete == head.passed + END
    return head.passed.split(b"\r\n")[1:-1]


@pytest.mark.parametrize("reader", list(Reader))
def test_cookies_are_for_the_host_that_set_them(reader: Reader) -> None:
    cookies = (
        b"Set-Cookie: a=1; Domain=x",
        b"X-A: 1",
        b"set-cookie: b=2;DOMAIN=y; Path=/",
        b"SET-COOKIE: c=3",
    )
    passed = {each for each in lines(reader, *cookies) if each != FRAMED}
    assert passed == {
        Reader.PROGRAM: set(cookies),
        Reader.GATEWAY: {b"X-A: 1"},
    }.get(reader, {b"Set-Cookie: a=1", b"X-A: 1", b"set-cookie: b=2; Path=/", b"SET-COOKIE: c=3"})


@pytest.mark.parametrize("line", [b"HTTP/1.1 103 Early Hints", SWITCHING])
def test_so_are_those_of_interim_answers(line: bytes) -> None:
    assert lines(Reader.OWN_PAGE, b"Set-Cookie: a=1; Domain=x", line=line) == [b"Set-Cookie: a=1"]


def test_a_cookie_that_browsers_would_not_take_is_left_out() -> None:
    cookies = (b"Set-Cookie: __Host-a=1; Secure; Path=/; Domain=x", b"Set-Cookie: b=2")
    assert lines(Reader.ANY_PAGE, *cookies) == [b"Set-Cookie: b=2"]


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        (b'"cache", "storage"', [b'"cache", "storage"']),
        (b'"storage","cookies"', [b'"storage"']),
        (b'"cookies"', []),
        (b'"*"', [b'"cache", "executionContexts", "storage"']),
        (b'"cookies" , "*"', [b'"cache", "executionContexts", "storage"']),
    ],
)
def test_nobody_clears_the_cookies_of_its_neighbours(value: bytes, passed: list[bytes]) -> None:
    expected = [b"clear-site-data: " + each for each in passed]
    assert lines(Reader.ANY_PAGE, b"clear-site-data: " + value) == expected


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (b"X-A: 1", False),
        (b"X-Frame-Options: DENY", True),
        (b"x-frame-options: ALLOWALL", True),
        (b"Content-Security-Policy: frame-ancestors *", True),
        (b"content-security-policy: default-src 'self'; FRAME-ANCESTORS https://a.example", True),
        (b"Content-Security-Policy: default-src *, frame-ancestors 'none'", True),
        (b"Content-Security-Policy: default-src 'self'", False),
        (b"Content-Security-Policy: report-uri /frame-ancestors", False),
        (b"Content-Security-Policy-Report-Only: frame-ancestors 'none'", False),
    ],
)
def test_pages_are_framed_by_themselves_unless_the_service_says_something(
    field: bytes, *, said: bool
) -> None:
    expected = [field] if said else [field, FRAMED]
    assert lines(Reader.OWN_PAGE, field) == lines(Reader.FOREIGN_PAGE, field) == expected
    assert lines(Reader.ANY_PAGE, field) == lines(Reader.PROGRAM, field) == [field]


def test_an_interim_answer_is_no_page() -> None:
    assert lines(Reader.OWN_PAGE, line=SWITCHING) == []


CORS = (b"Access-Control-Allow-Origin: *", b"access-control-allow-credentials: true")
NARROWER = (b"Access-Control-Allow-Private-Network: true", b"Access-Control-Allow-Local-Network: true")


@pytest.mark.parametrize(
    ("reader", "passed"),
    [
        (Reader.OWN_PAGE, [*CORS, FRAMED]),
        (Reader.FOREIGN_PAGE, [FRAMED]),
        (Reader.ANY_PAGE, list(CORS)),
        (Reader.GATEWAY, list(CORS)),
        (Reader.PROGRAM, [*CORS, *NARROWER]),
    ],
)
def test_a_page_of_another_site_reads_only_what_is_for_other_sites(
    reader: Reader, passed: list[bytes]
) -> None:
    assert lines(reader, *CORS, *NARROWER) == passed


def test_what_is_remembered_for_one_reader_is_not_for_another() -> None:
    fields = (b"Set-Cookie: a=1; Domain=x", *CORS)
    for _ in range(2):
        assert lines(Reader.OWN_PAGE, *fields) == [b"Set-Cookie: a=1", *CORS, FRAMED]
        assert lines(Reader.FOREIGN_PAGE, *fields) == [b"Set-Cookie: a=1", FRAMED]
        assert lines(Reader.ANY_PAGE, *fields) == [b"Set-Cookie: a=1", *CORS]
        assert lines(Reader.PROGRAM, *fields) == list(fields)


@pytest.mark.parametrize("reader", list(Reader))
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_what_follows_of_a_head_for_framing_is_the_same_for_all(reader: Reader, method: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nKeep-Alive: timeout=3\r\n\r\n"
    head, plain = parse_answer(raw, known_answers(method, reader)), parse_answer(raw, known_answers(method))
    for name in (
        "raw",
        "status",
        "length",
        "keep_alive",
        "keep_alive_seconds",
        "lasting",
        "upgrade",
        "endless",
    ):
        assert getattr(head, name) == getattr(plain, name)
