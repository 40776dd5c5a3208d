"""The heads of answers: parsed strictly, and made ready to be passed on. Pure. As `request_head`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import httptools

from runtimes.router.protocol.fields import END, BadHead, read_fields
from runtimes.router.protocol.lines import STATUS_LINE
from runtimes.router.protocol.page_answers import Reader, for_reader
from runtimes.router.protocol.remembered import remember

if TYPE_CHECKING:
    from runtimes.router.protocol.fields import Fields


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """An answer without its body.

    `length` is that of the body in bytes, -1 when it is chunked, -2 when it ends with the connection.
    `passed` are the status line and the field lines that go to the client, `complete` the same with the empty
    line. `lasting`: the connection is kept, for nobody says how long. `endless` is an event stream. `raw` is
    all of it as it came, with its empty line.
    """

    raw: bytes
    status: int
    length: int
    keep_alive: bool
    keep_alive_seconds: float | None
    lasting: bool
    upgrade: bytes
    endless: bool
    passed: bytes
    complete: bytes


class Answers(dict[bytes, AnswerHead]):
    """What is remembered of answers that are read in one way, by their heads without the empty line.

    Those to HEAD are `bodiless`: they have the length of a body that does not come. It holds no interim
    answers.
    """

    __slots__ = ("bodiless", "reader")

    def __init__(self, reader: Reader, *, bodiless: bool) -> None:
        super().__init__()
        self.reader = reader
        self.bodiless = bodiless


def parse_answer(head: bytes, known: Answers) -> AnswerHead:
    """The head of an answer, given with its empty line. Raises BadHead.

    `known` is what was remembered of answers to that method for that reader: `known_answers`.
    """
    answer = known.get(head[: -len(END)])
    if answer is None:
        answer = _parse_answer(head, known)
        if answer.status >= 200 and known.reader in _REMEMBERED:
            remember(known, head[: -len(END)], answer)
    return answer


def known_answers(method: bytes, reader: Reader = Reader.PROGRAM) -> Answers:
    """The memory for answers to a method."""
    return (_answers_to_head if method == b"HEAD" else _answers)[reader]


#: Those that come often.
_REMEMBERED = frozenset({Reader.PROGRAM, Reader.OWN_PAGE, Reader.ANY_PAGE, Reader.OWN_PAGE_AT_NODE})
_answers = {reader: Answers(reader, bodiless=False) for reader in Reader}
_answers_to_head = {reader: Answers(reader, bodiless=True) for reader in Reader}


def _parse_answer(head: bytes, known: Answers) -> AnswerHead:
    if not STATUS_LINE.match(head):
        raise BadHead(502, "its answer does not begin with an HTTP/1.1 status line")
    status, http_1_0 = int(head[9:12]), head.startswith(b"HTTP/1.0")
    fields = read_fields(
        httptools.HttpResponseParser,
        head,
        http_1_0=http_1_0,
        passing=partial(for_reader, known.reader, status),
    )
    length, passed_length = _length(fields, status, bodiless=known.bodiless)
    line = b"HTTP/1.1" + head[8 : head.index(b"\r\n") + 2]
    passed = line + fields.passed + passed_length
    keep_alive = fields.keep_alive and length != -2
    seconds = _keep_alive_seconds(fields.only.get(b"keep-alive", b""))
    return AnswerHead(
        raw=head,
        status=status,
        length=length,
        keep_alive=keep_alive,
        keep_alive_seconds=seconds,
        lasting=keep_alive and seconds is None,
        upgrade=fields.upgrade,
        endless=fields.only.get(b"content-type", b"").lower().startswith(b"text/event-stream"),
        passed=passed,
        complete=passed + b"\r\n",
    )


def _length(fields: Fields, status: int, *, bodiless: bool) -> tuple[int, bytes]:
    """How long the body is, and what the client is told of it (RFC 9112, section 6.3)."""
    length, chunked = fields.length, fields.chunked
    if chunked and length is not None:
        raise BadHead(502, "its answer has two lengths")
    told = b"" if length is None else b"Content-Length: %d\r\n" % length
    if status < 200 or status == 204:
        return 0, b""
    if bodiless or status == 304:
        return 0, told
    if chunked:
        return -1, b""
    return (-2, b"") if length is None else (length, told)


def _keep_alive_seconds(value: bytes) -> float | None:
    """How long the other side says that it keeps a connection: `Keep-Alive: timeout=5`."""
    match = re.search(rb"timeout=([0-9]{1,6})", value)
    return float(match[1]) if match else None
