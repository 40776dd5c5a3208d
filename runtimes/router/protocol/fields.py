"""The fields of a head, whoever's it is: what they say of the body and the connection, and which go on. Pure.

llhttp (httptools) does the grammar; what follows here are the rules that keep two parsers from reading one
message in two ways (RFC 9112, sections 6 and 11.2), and what may be passed on: hop-by-hop fields end here,
and so does everything by which a client could pretend to be somebody (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import re
from typing import TypeVar

import httptools

#: Heads up to this length are remembered, this many of each kind: a few MiB at the most.
REMEMBERED_LENGTH, REMEMBERED = 2048, 512
END = b"\r\n\r\n"
WEBSOCKET = b"websocket"
#: A body that is longer than this is a mistake or an attack; and Python's ints have no end.
LONGEST_BODY = 1 << 62

_DIGITS = re.compile(rb"[0-9]{1,19}")
_SIGN = re.compile(rb"[^a-z0-9]")
_PROTOCOL = re.compile(rb"(?!h2|http|tls)[!#$%&'*+.^_`|~0-9a-z-]+(?:/[!#$%&'*+.^_`|~0-9a-z-]+)?")

_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"proxy-authenticate", b"proxy-authorization",
    }
)  # fmt: skip
#: Said anew by the router, or meant for it alone.
_OURS = frozenset(
    {
        b"content-length", b"expect", b"authorization", b"x-request-id", b"forwarded", b"x-forwarded-for",
        b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip",
    }
)  # fmt: skip
_IDENTITY = b"atek-auth-"

T = TypeVar("T")
#: By their names in small letters.
Values = dict[bytes, list[bytes]]


class BadHead(Exception):
    """A head that is not forwarded. `status` is the answer that it gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Collector:
    """Takes what llhttp finds."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))


def remember(memory: dict[bytes, T], head: bytes, value: T) -> None:
    if len(head) <= REMEMBERED_LENGTH:
        if len(memory) >= REMEMBERED:
            memory.clear()
        memory[head] = value


def feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> None:
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadHead(400, f"not HTTP: {error}") from error


def by_name(fields: list[tuple[bytes, bytes]]) -> Values:
    values: Values = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return values


def only(values: Values, name: bytes) -> bytes:
    """The value of a field that stands there once; two of them would mean two things to two readers."""
    found = values.get(name, ())
    return found[0] if len(found) == 1 else b""


def content_length(values: Values) -> int | None:
    """None without one. llhttp refuses what is no number, and two of them."""
    found = values.get(b"content-length")
    if found is None:
        return None
    if len(found) != 1 or not _DIGITS.fullmatch(found[0]) or int(found[0]) > LONGEST_BODY:
        raise BadHead(400, "the Content-Length is not the length of a body")
    return int(found[0])


def is_chunked(values: Values, *, http_1_0: bool) -> bool:
    """Only `chunked`, alone, once, in HTTP/1.1: whatever else is there is read differently by somebody."""
    codings = values.get(b"transfer-encoding")
    if codings is None:
        return False
    if http_1_0 or len(codings) != 1:
        raise BadHead(400, "this Transfer-Encoding is not understood")
    if codings[0].lower() != b"chunked":
        raise BadHead(501, "no Transfer-Encoding but chunked is understood")
    return True


def connection_options(values: Values) -> frozenset[bytes]:
    """What the Connection field names, in small letters."""
    found = values.get(b"connection")
    if not found:
        return frozenset()
    return frozenset(option.strip().lower() for value in found for option in value.split(b","))


def keeps_alive(options: frozenset[bytes], *, http_1_0: bool) -> bool:
    return b"keep-alive" in options if http_1_0 else b"close" not in options


def upgrade_of(values: Values, options: frozenset[bytes]) -> bytes:
    """Without HTTP's own: what went through such a tunnel would be requests that nobody looked at."""
    if b"upgrade" not in options:
        return b""
    named = b",".join(values.get(b"upgrade", ())).lower().split(b",")
    protocols = [name for name in (each.strip(b" \t") for each in named) if _PROTOCOL.fullmatch(name)]
    return WEBSOCKET if WEBSOCKET in protocols else b", ".join(protocols)


def passed_lines(fields: list[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields if _is_passed(field[0].lower(), dropped)])


def _is_passed(name: bytes, dropped: frozenset[bytes]) -> bool:
    if name in dropped:
        return False
    # Servers that hand fields on as variables (CGI, WSGI) make no difference between - and _ or other signs.
    name = _SIGN.sub(b"-", name)
    return not (name in _HOP_BY_HOP or name in _OURS or name.startswith(_IDENTITY))
