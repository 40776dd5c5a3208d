"""The first lines of requests and answers, and what can never become a head. Pure.

Any token is a method (RFC 9110, section 9.1). A target is a path, `*` for OPTIONS, or a whole URL, whose
authority then stands for the Host (RFC 9112, section 3.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) (HTTP/1\.[01])\r\n")
_URL = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)
# A line ends in CRLF; a CR at the end of what is there may be half of one.
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0")
_VERSION = b"HTTP/1."
#: Bytes of empty lines before a request that are lost without a word.
MOST_EMPTY = 8


@dataclass(frozen=True, slots=True)
class RequestLine:
    """`target` is a path or `*`; `authority` that of a whole URL, None where there was none.

    `length` is the line's own, with its CRLF.
    """

    method: bytes
    target: bytes
    version: bytes
    authority: bytes | None
    length: int


def request_line(head: bytes) -> RequestLine | None:
    """None for what is no request line, or one that has no place here (CONNECT)."""
    match = _REQUEST_LINE.match(head)
    if match is None or match[1] == b"CONNECT":
        return None
    method, target, version = match.groups()
    authority = None
    if url := _URL.fullmatch(target):
        authority, target = url[1], _path(method, url[2])
    if not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        return None
    return RequestLine(method, target, version, authority, match.end())


def _path(method: bytes, rest: bytes) -> bytes:
    """What a URL says after its authority. OPTIONS without a path is for the whole server."""
    if not rest and method == b"OPTIONS":
        return b"*"
    return rest if rest.startswith(b"/") else b"/" + rest


def after_empty_lines(data: bytes) -> bytes | None:
    """RFC 9112, section 2.2: an empty line before a request is harmless. None for many: no request."""
    end = 0
    while end <= MOST_EMPTY and data.startswith(b"\r\n", end):
        end += 2
    return data[end:] if end <= MOST_EMPTY else None


def no_request(data: bytes) -> bool:
    """Whether nothing that follows can make a request's head of this beginning."""
    return _BARE.search(data) is not None


def no_answer(data: bytes) -> str:
    """Why nothing that follows can make an answer's head of this beginning; empty while it can."""
    if not data.startswith(_VERSION[: len(data)]):
        return "its answer does not begin with an HTTP/1.1 status line"
    if _BARE.search(data):
        return "a line of its answer's head does not end in CRLF"
    if b"\r\n" in data and not STATUS_LINE.match(data):
        return "its answer does not begin with an HTTP/1.1 status line"
    return ""
