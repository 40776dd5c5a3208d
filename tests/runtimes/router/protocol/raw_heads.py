"""Heads as tests write them, and what the router makes of them."""

from __future__ import annotations

import pytest

from runtimes.router.protocol.answer_head import AnswerHead, known_answers, parse_answer
from runtimes.router.protocol.fields import BadHead
from runtimes.router.protocol.request_head import RequestHead, parse_request

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


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> AnswerHead:
    raw = line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + END
    return parse_answer(raw, known_answers(method))
