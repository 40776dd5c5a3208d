"""Text for terminals and pipes: tables, colour, and nothing that could command the terminal.

Messages, names and log lines come from programs and files that this node does not vouch for; what they
bring of control characters is taken out before it reaches a terminal.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

# C0, DEL, C1, and the marks that reorder text on a screen.
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_STRIP = dict.fromkeys(_CONTROLS) | dict.fromkeys((9, 10, 11, 12, 13, 8232, 8233), " ")
_STRIP_KEEPING_TABS = {code: new for code, new in _STRIP.items() if code != 0x09}
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*"
    r"(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_RESET = "\x1b[0m"


def clean(text: object) -> str:
    """One line without escape sequences and control characters."""
    return _ESCAPE.sub("", str(text)).translate(_STRIP)


def clean_log_line(line: str, *, colour: bool = True) -> str:
    """Like `clean`, but tabs stay, and colours where they are welcome: they end with the line."""
    if not colour:
        return _ESCAPE.sub("", line).translate(_STRIP_KEEPING_TABS)
    parts = _COLOUR.split(line)
    colours = _COLOUR.findall(line)
    texts = [_ESCAPE.sub("", part).translate(_STRIP_KEEPING_TABS) for part in parts]
    painted = "".join(text + colour for text, colour in zip(texts, [*colours, ""], strict=True))
    return painted + _RESET if colours else painted


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether colour is welcome: on a terminal that knows it, unless NO_COLOR is set (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return (stream or sys.stdout).isatty()


def paint(text: str, colour: str, *, enabled: bool) -> str:
    """`text` in a colour, or as it is."""
    return f"\x1b[{_CODES[colour]}m{text}{_RESET}" if enabled and colour else text


def width_of(text: str) -> int:
    """Columns on a terminal: two for East Asian wide letters, none for combining marks."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def pad(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """At most `width` columns, with … where something is missing."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[:-1]
    return text + "…"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Aligned lines, the header first. The last column may be as long as it likes, or up to `width`."""
    lines = [header, *([clean(cell) for cell in row] for row in rows)]
    widths = [max(width_of(line[column]) for line in lines) for column in range(len(header))]
    result = []
    for line in lines:
        start = "".join(pad(cell, wide) + "  " for cell, wide in zip(line[:-1], widths, strict=False))
        last = line[-1] if width is None else cut(line[-1], max(width - width_of(start), 8))
        result.append((start + last).rstrip())
    return result


def nearest(name: str, names: Sequence[str], elsewhere: str = "") -> str:
    """A hint: the name that was perhaps meant, or where to find all (with those words for `atek status`)."""
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"`atek status{elsewhere}` lists all services"


def short_path(path: object) -> str:
    """With ~ for the user's own folder."""
    text, own = str(path), os.path.expanduser("~")
    return "~" + text[len(own) :] if text == own or text.startswith(own.rstrip("/") + "/") else text
