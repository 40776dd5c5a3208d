"""What a program said last, for the message about its crash: a few lines, printable, without its token.

Programs end with their reason in different places: Python with the last line, Node before a stack and its own
version, Go and Rust before a trace. So the last line that speaks of an error counts, with what follows it;
without such a line the last ones do. Stack frames and closing brackets say nothing.
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
_IS_ERROR = re.compile(
    r"\b\w*(?:Error|Exception)\b(?: \[\w+\])?(?::|$)|^Exception in thread|^Caused by:|\bpanicked at\b"
    r"|^\W*(?:\S+ )?(?:error|fatal|panic|critical|emerg|alert|abort(?:ed)?)\b\W",
    re.IGNORECASE,
)
_IS_NOISE = re.compile(
    r"\W*$|at .+[:)]\d*|File \".*\", line \d+|Traceback \(most|Node\.js v\d|goroutine \d+ "
    r"|(?:exit status|note:) |code: '\w+',?$|requireStack: "
)


def last_words(path: str, start: int, secrets: Collection[str]) -> str:
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
        begin = max(end - WINDOW, start if start <= end else 0)
        said = os.pread(descriptor, end - begin, begin)
        if begin > max(start, 0):
            # Of a line that is not whole nobody could tell the secrets.
            said = said.partition(b"\n")[2]
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return choose(said.decode("utf-8", "replace"), secrets)


def choose(said: str, secrets: Collection[str] = ()) -> str:
    """The lines that tell most, joined by ` | `."""
    for secret in filter(None, secrets):
        said = said.replace(secret, "***")
    lines = [line for line in map(_printable, said.splitlines()) if line and not _IS_NOISE.match(line)]
    errors = [number for number, line in enumerate(lines) if _IS_ERROR.search(line)]
    chosen = lines[errors[-1] :][:_LINES] if errors else lines[-_LINES:]
    return _short(" | ".join(_short(line, _LONGEST_LINE) for line in chosen), _LONGEST)


def _printable(line: str) -> str:
    return "".join(each for each in _ESCAPE.sub("", line) if each.isprintable()).strip()


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
