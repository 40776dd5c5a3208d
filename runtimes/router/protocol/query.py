"""The query of a target: `?name=value&…`. Pure."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


def values_of(query: bytes, name: str) -> list[str]:
    """All values of a parameter, in order. Total: bytes that are no UTF-8 become U+FFFD."""
    pairs = (pair.partition(b"=") for pair in query.split(b"&"))
    return [_decoded(value) for key, _, value in pairs if _decoded(key) == name]


def _decoded(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "replace")
