"""The two addresses of `localhost`: a program that listens on that name has one of them, or both. Pure."""

from __future__ import annotations

LOOPBACK = ("127.0.0.1", "::1")


def addresses(host: str) -> tuple[str, ...]:
    """Where somebody may be found who said to listen at `host`, in the order in which to try."""
    return LOOPBACK if host in LOOPBACK or host == "localhost" else (host,)
