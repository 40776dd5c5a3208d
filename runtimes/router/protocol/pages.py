"""The answers that the router gives by itself, as bytes. Pure."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"Connection: close\r\n"
#: The gateway is for programs, which say who they are by a token; a page of any origin has none to send.
CORS = (b"Access-Control-Allow-Origin", b"*")
#: What a browser asks before it lets a page call the gateway.
PREFLIGHT = (
    CORS,
    (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
    (b"Access-Control-Allow-Headers", b"Authorization, Content-Type, X-Request-Id, traceparent"),
    (b"Access-Control-Max-Age", b"86400"),
)
TEXT, JSON = b"text/plain; charset=utf-8", b"application/json"
_RPC = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%b: %b\r\nContent-Length: " % CORS


def page(
    status: int,
    body: bytes = b"",
    *,
    kind: bytes = TEXT,
    fields: Iterable[tuple[bytes, bytes]] = (),
    close: bool = False,
    head_only: bool = False,
) -> bytes:
    """A whole answer. `head_only`: for a HEAD request, which gets all but the body."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())]
    if status != 204:
        lines.append(b"Content-Type: %b\r\nContent-Length: %d\r\n" % (kind, len(body)))
    lines += [b"%b: %b\r\n" % field for field in fields]
    if close:
        lines.append(CLOSE)
    lines.append(b"\r\n")
    if not head_only:
        lines.append(body)
    return b"".join(lines)


def error_page(status: int, message: str, *, close: bool = False, head_only: bool = False) -> bytes:
    """A whole answer that says what is wrong."""
    fields = [(b"Retry-After", b"1")] if status == 503 else []
    return page(status, error_body(message), kind=JSON, fields=fields, close=close, head_only=head_only)


def error_body(message: str) -> bytes:
    """`{"error": true, "message": …}`, as the original answers."""
    return orjson.dumps({"error": True, "message": message})


@lru_cache(1024)
def rpc_head(length: int, *, close: bool = False) -> bytes:
    """What comes before an answer of the gateway, whose errors are JSON-RPC's."""
    return b"%b%d\r\n%b\r\n" % (_RPC, length, CLOSE if close else b"")


def redirect_fields(location: bytes, *cookies: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Of a 302, for people's browsers."""
    fields = ((b"Location", location), (b"Cache-Control", b"no-store"))
    return (*fields, *((b"Set-Cookie", cookie) for cookie in cookies))
