"""The heads of answers: how long they are, which cannot be trusted, and what is remembered of heads."""

from __future__ import annotations

import pytest

from runtimes.router.protocol import remembered, request_head
from runtimes.router.protocol.answer_head import known_answers, parse_answer
from runtimes.router.protocol.fields import BadHead
from runtimes.router.protocol.page_answers import Reader
from runtimes.router.protocol.request_head import parse_request
from tests.runtimes.router.protocol.raw_heads import END, HOST, LINE, answer, parse

# -- answers


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
    often = (Reader.PROGRAM, Reader.OWN_PAGE, Reader.ANY_PAGE, Reader.OWN_PAGE_AT_NODE)
    answers = {
        (method, reader): known_answers(method, reader) for method in (b"GET", b"HEAD") for reader in Reader
    }
    for number in range(3 * remembered.REMEMBERED):
        parse(b"X-A: %d" % number)
        for known in answers.values():
            parse_answer(b"HTTP/1.1 200 OK\r\nX-A: %d\r\n\r\n" % number, known)
    assert 0 < len(request_head._requests) <= remembered.REMEMBERED
    for (_, reader), known in answers.items():
        assert (0 < len(known) <= remembered.REMEMBERED) if reader in often else not known


def test_long_heads_are_not_remembered() -> None:
    raw = LINE + HOST + b"X-A: " + b"a" * remembered.REMEMBERED_LENGTH + b"\r\n" + END
    assert parse_request(raw) == parse_request(raw)
    assert raw not in request_head._requests


def test_what_is_remembered_of_answers_to_head_is_not_an_answer_to_get() -> None:
    assert answer(b"Content-Length: 77", method=b"HEAD").length == 0
    assert answer(b"Content-Length: 77", method=b"GET").length == 77
    assert answer(b"Content-Length: 77", method=b"HEAD").length == 0
