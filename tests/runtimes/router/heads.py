"""Requests to write down in tests."""

from __future__ import annotations

from runtimes.router.protocol.request_head import RequestHead, parse_request


def request(
    target: str = "/", *fields: str, host: str = "localhost:2835", method: str = "GET"
) -> RequestHead:
    """A request's head; `fields` are whole lines."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    return parse_request("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
