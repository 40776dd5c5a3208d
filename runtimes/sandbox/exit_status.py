"""What bubblewrap writes about a program that it ran (`--json-status-fd`), and what follows from it. Pure.

One JSON object a line: `{"child-pid": 12, …}` when the sandbox is begun, `{"exit-code": 0}` when the program,
which had been executed, has ended. It is a file and no pipe: nobody has to be there to read it, so the next
life of a node knows how a program ended that an earlier one started.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass

#: A program that a signal ended (bash(1), "Exit status"), or one that says so of what it ran itself.
_SIGNALLED = 128
#: These end no program (signal(7)): whoever says such a number has left by itself.
_HARMLESS = {
    signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGURG, signal.SIGWINCH,
}  # fmt: skip
_FATAL = set(signal.Signals) - _HARMLESS


@dataclass(frozen=True, slots=True)
class Status:
    """`first` is the first process in the sandbox, as it is numbered outside. None: not told."""

    first: int | None = None
    code: int | None = None

    @property
    def signal(self) -> int | None:
        """The one that ended the program; None when it left by itself."""
        number = (self.code or 0) - _SIGNALLED
        return number if number in _FATAL else None


def parse(text: bytes) -> Status:
    """What cannot be read was not told."""
    found = Status()
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            first, code = said.get("child-pid", found.first), said.get("exit-code", found.code)
            found = Status(
                first if isinstance(first, int) else None,
                code if isinstance(code, int) else None,
            )
    return found
