"""What a program said last, for the message about its crash: a few lines, printable, without its token.

Programs end with their reason in different places: Python with the last line, Node before a stack and its own
version, Go and Rust before a trace, servers before they say goodbye. So the last line that speaks of an error
counts, with what follows it; without such a line the last ones do. Stack frames, closing brackets and what is
no text say nothing.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

#: Bytes of the log's end that are looked at, lines that are told, and characters of them.
WINDOW = 16 * 1024
#: Signals that come from outside: what a program said before tells nothing about why it ended.
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_LINES, _LONGEST, _LONGEST_LINE = 3, 400, 200
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?",
)
#: What stands before a message in a log: times, numbers, zones.
_STAMP = re.compile(r"(?:[\W\d]|(?:UTC|GMT|T|Z)(?![a-zA-Z]))*")
_IS_ERROR = re.compile(
    r"\b\w*(?:Error|Exception)\b(?: \[\w+\])?(?::|$)|^Exception in thread|^Caused by:|\bpanicked at\b"
    r"|^(?:\S+ )?\W{0,9}(?:error|fatal|panic|critical|emerg|alert|abort(?:ed)?)\b\W"
    r"|\b(?:level|lvl|severity)\"?[=:] ?\"?(?:err|fatal|panic|crit|emerg|alert|[56]0\b)",
    re.IGNORECASE,
)
#: Characters of a line that are looked at for such words.
_LOOKED_AT = 1000
_IS_NOISE = re.compile(
    r"\W*$|at .+[:)]\d*|File \".*\", line \d+|Traceback \(most|Node\.js v\d|goroutine \d+ "
    r"|(?:exit status|note:) |code: '\w+',?$|requireStack: "
    r"|node:internal/|throw \w|new Unhandled|\.\.\. \d+ more|(?i:stack (?:back)?trace:)$|#\d+ |\d+: +\S+$"
    r"|from .+:\d+:in |thrown in "
)
#: Where Python and Node say which file they did not understand.
_PLACE = re.compile(r"\s*File \"(.*)\", line (\d+)|(/.*|file:\S+):(\d+)$")
_HAS_PLACE = re.compile(r"(?:Syntax|Indentation|Tab)Error\b")
#: Of so many characters, one that is none makes a line no text.
_TEXT = 8


def termination_message(path: str, start: int, secrets: Collection[str]) -> str:
    """What the log says since the byte `start` (-1: unknown, then nothing), in one line; may be empty."""
    if start < 0:
        return ""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        end = os.fstat(descriptor).st_size
        # A log that was begun anew meanwhile is shorter than it was.
        start = start if start <= end else 0
        begin = max(end - WINDOW, start)
        said = os.pread(descriptor, end - begin, begin)
        if begin > start:
            # Of a line that is not whole nobody could tell the secrets.
            said = said.partition(b"\n")[2] or _head(descriptor, start, secrets)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return choose(said.decode("utf-8", "replace"), secrets)


def _head(descriptor: int, start: int, secrets: Collection[str]) -> bytes:
    """The beginning, where the end is one long line: as much as has no half of a secret."""
    said = os.pread(descriptor, WINDOW, start)
    return said[: len(said) - max(map(len, map(str.encode, secrets)), default=0)]


def choose(said: str, secrets: Collection[str] = ()) -> str:
    """The lines that tell most, joined by ` | `."""
    for secret in filter(None, secrets):
        said = said.replace(secret, "***")
    lines = _lines(said)
    errors = [number for number, (_, error) in enumerate(lines) if error]
    chosen = lines[errors[-1] :][:_LINES] if errors else lines[-_LINES:]
    return _short(" | ".join(_short(line, _LONGEST_LINE) for line, _ in chosen), _LONGEST)


def _lines(said: str) -> list[tuple[str, bool]]:
    """Each that says something, and whether it speaks of an error."""
    found: list[tuple[str, bool]] = []
    trace, place = False, ""
    # Among what is no text, a few characters that look like some are none either.
    shortest = 1 if _is_text(said) else _TEXT
    for raw in said.splitlines():
        line = _printable(raw)
        if where := _PLACE.match(raw):
            place = f"{where[1] or where[3]}:{where[2] or where[4]}"
        # What is not indented after Python's frames is the exception, whatever its name.
        ends, trace = (
            trace and bool(line) and not raw[0].isspace(),
            trace or line.startswith("Traceback (most"),
        )
        if ends:
            trace = line.startswith("Traceback (most")
        if len(line) < shortest or not _is_text(line) or _IS_NOISE.match(line):
            continue
        if place and _HAS_PLACE.match(line):
            line, place = f"{line} ({place})", ""
        found.append((line, (ends and not trace) or _is_error(line)))
    return found


def _is_error(line: str) -> bool:
    looked_at = line[:_LOOKED_AT]
    stamp = _STAMP.match(looked_at)
    return _IS_ERROR.search(looked_at[stamp.end() if stamp else 0 :]) is not None


def _is_text(line: str) -> bool:
    return line.count("\ufffd") * _TEXT < max(len(line), 1)


def _printable(line: str) -> str:
    return "".join(each for each in _ESCAPE.sub("", line) if each.isprintable()).strip()


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
