"""One document of a file in plain values, where in the text each key stands, and how a text can be broken.

What the readers of all languages make, and what everybody behind them takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Where the value at a path of keys and list indexes stands: a line from 1 on, or None when nobody knows.
Path = tuple[str | int, ...]
LineOf = Callable[[Path], int | None]


class BrokenText(Exception):
    """The text as a whole cannot be read. `line` counts from 1."""

    def __init__(self, message: str, *, line: int | None = None, hint: str = "", key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.hint = hint
        self.key = key


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. An empty one has the value None. `tags`: by the paths of values."""

    value: Any
    line_of: LineOf
    tags: Mapping[Path, str] = field(default_factory=dict)


def no_line(_: Path) -> None:
    """For values that came from nowhere in particular."""


def lower_first(message: str) -> str:
    """The libraries begin their sentences with a capital; ours go on from a colon."""
    return message[:1].lower() + message[1:]
