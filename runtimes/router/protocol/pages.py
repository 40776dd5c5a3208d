"""The answers that the router gives by itself, as bytes. Pure."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: The gateway is for programs, which say who they are by a token; a page of any origin has none to send.
CORS = (b"Access-Control-Allow-Origin", b"*")
_CORS_LINE = b"%b: %b\r\n" % CORS
_PREFLIGHT = (
    _CORS_LINE + b"Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: Authorization, Content-Type, X-Request-Id, traceparent\r\n"
    b"Access-Control-Max-Age: 86400\r\n"
)
_CLOSE = b"Connection: close\r\n"
_RPC = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + _CORS_LINE + b"Content-Length: "


def page(
    status: int,
    body: bytes = b"",
    *,
    kind: bytes = b"text/plain; charset=utf-8",
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
        lines.append(_CLOSE)
    lines.append(b"\r\n")
    if not head_only:
        lines.append(body)
    return b"".join(lines)


def error_page(
    status: int,
    message: str,
    *,
    fields: Iterable[tuple[bytes, bytes]] = (),
    close: bool = False,
    head_only: bool = False,
) -> bytes:
    """`{"error": true, "message": …}`, as the original answers."""
    body = orjson.dumps({"error": True, "message": message})
    if status == 503:
        fields = [*fields, (b"Retry-After", b"1")]
    return page(status, body, kind=b"application/json", fields=fields, close=close, head_only=head_only)


@lru_cache(1024)
def rpc_head(length: int, *, close: bool = False) -> bytes:
    """What comes before an answer of the gateway, whose errors are JSON-RPC's."""
    return b"%b%d\r\n%b\r\n" % (_RPC, length, _CLOSE if close else b"")


def preflight_page(*, close: bool = False) -> bytes:
    """What a browser asks before it lets a page call the gateway."""
    return b"HTTP/1.1 204 No Content\r\n%b%b\r\n" % (_PREFLIGHT, _CLOSE if close else b"")


def redirect(location: bytes, *, cookie: bytes = b"", close: bool = False) -> bytes:
    """302, for people's browsers; optionally with a cookie."""
    fields = [(b"Location", location), (b"Cache-Control", b"no-store")]
    if cookie:
        fields.append((b"Set-Cookie", cookie))
    return page(302, fields=fields, close=close)
