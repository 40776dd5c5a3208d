"""What is remembered of heads: most clients and services send the same few again and again. Pure."""

from __future__ import annotations

from typing import TypeVar

#: Heads up to this length are remembered, this many of each kind: a few MiB at the most.
REMEMBERED_LENGTH, REMEMBERED = 2048, 512

T = TypeVar("T")


def remember(memory: dict[bytes, T], head: bytes, value: T) -> None:
    """What follows from a head; a memory that is full begins anew."""
    if len(head) <= REMEMBERED_LENGTH:
        if len(memory) >= REMEMBERED:
            memory.clear()
        memory[head] = value
