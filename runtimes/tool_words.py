"""Why a tool failed, out of all that it said: its errors, and not what stands around them. Pure.

The first error is the cause as a rule, and what follows are its consequences, its details, and advice. What
was said before it by others (a script that a package manager ran) tells where it happened.
"""

from __future__ import annotations

import re
from collections import deque

#: How many of the first errors, of the last ones, and of the lines before all of them a failure repeats.
_FIRST_ERRORS, _LAST_ERRORS, _LAST_LINES = 4, 2, 3
#: What compilers, interpreters and package managers (npm, yarn, pnpm, uv, pip, poetry) begin an error with.
_IS_ERROR = re.compile(
    r"^(npm (error|ERR!)|yarn error|ERR_PNPM|ERROR\b|error\b|cause:|× |╰─▶|fatal:|E: |make.*: \*\*\* )"
    r"|^(Uncaught |Caused by: )?([a-z_]+\.)*[A-Z]\w*(Error|Exception|Exit)\b( \[\w+\])?(:|$)"
    r"|^\S+:\d+(:\d+)?: (fatal )?error: |^\S+\(\d+,\d+\): error |\bnot found$",
    re.IGNORECASE,
)
#: Around an error: traces, progress, where logs are, what was run, what a program prints with nothing in it.
_IS_NOISE = re.compile(
    r"^(npm (warn|notice)|npm (error|ERR!)( \d+)?$"
    r"|npm (error|ERR!) (A complete log|path|cwd|command|gyp (info|verb))"
    r"|npm (error|ERR!) \d+ (Note that|tarball|You should bug)"
    r"|> |-+> |(Step|STEP) \d+/\d+ ?:|Removing intermediate container"
    r"|at |hint:|Using Python|Node\.js v\d|node:internal/|Traceback \(|File \"|Require stack:"
    r"|(code|errno|syscall|path|spawnargs|requireStack|digest): .*[,\[\]{}'\"]$"
    r"|throw \w|\[(stdout|stderr)\]$)"
    r"|^[^\w×╰]*$"
)


class ToolWords:
    """Hears a tool line by line."""

    def __init__(self) -> None:
        self.disk_full = False
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST_ERRORS)
        self._before: deque[str] = deque(maxlen=_LAST_LINES)

    def hear(self, text: str) -> None:
        """One line, without what is not printable."""
        self.disk_full |= "ENOSPC" in text or "No space left on device" in text
        if _IS_NOISE.search(text):
            return
        if _IS_ERROR.search(text):
            self._hear_error(text)
        elif not self._first:
            self._before.append(text)

    def __bool__(self) -> bool:
        return bool(self._before or self._first)

    def _hear_error(self, text: str) -> None:
        if text in self._first or text in self._last:
            return
        if len(self._first) < _FIRST_ERRORS:
            self._first.append(text)
        else:
            self._last.append(text)

    def __str__(self) -> str:
        return " | ".join([*self._before, *self._first, *self._last]) or "it said nothing"
