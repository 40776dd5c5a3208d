"""Requests and responses of the node's own HTTP as values, what answers them, and how large they may be."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from anyio.abc import SocketStream


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times are seconds. `grace_seconds` are everybody's who connects, however many do."""

    head_bytes: int = 16 * 1024
    body_bytes: int = 1024 * 1024
    head_seconds: float = 5
    body_seconds: float = 30
    idle_seconds: float = 60
    send_seconds: float = 30
    connections: int = 256
    grace_seconds: float = 0.25


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Header names are in small letters; `path` is without the query, not decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is sent with its length, or, when it is a generator, in chunks until it ends."""

    status: int
    body: bytes | AsyncGenerator[bytes, None] = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]
Admit = Callable[[SocketStream], bool]


def json_response(status: int, value: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON in ASCII, so that any string (file names are not always text) can be sent."""
    body = json.dumps(value, default=str).encode() + b"\n"
    return Response(status, body, "application/json", headers or {})
