"""A program in a strict sandbox waits until its network is there: two pipes to bubblewrap.

Bubblewrap says through one who its first process is (`--info-fd`), and executes nothing before it hears
something through the other (`--block-fd`). A node that dies meanwhile closes that one; what goes on then has
no network, and ends with the strays.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, suppress

import anyio

_PIECE = 4096


class Gate:
    """`words` are bubblewrap's, `inherited` the descriptors that these name."""

    def __init__(self) -> None:
        self._theirs, self._ours = ExitStack(), ExitStack()
        self._told, telling = self._pipe(ours_reads=True)
        waiting, self._go = self._pipe(ours_reads=False)
        self.words = ("--info-fd", str(telling), "--block-fd", str(waiting))
        self.inherited = (telling, waiting)

    def _pipe(self, *, ours_reads: bool) -> tuple[int, int]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        ours, theirs = (reading, writing) if ours_reads else (writing, reading)
        self._ours.callback(os.close, ours)
        self._theirs.callback(os.close, theirs)
        return reading, writing

    def started(self) -> None:
        """Bubblewrap has its ends; without ours it is noticed where it ends."""
        self._theirs.close()

    async def first_process(self) -> int:
        """As it is numbered outside. Raises ProcessLookupError where bubblewrap has ended before."""
        said = b""
        while b"}" not in said:
            await anyio.wait_readable(self._told)
            piece = os.read(self._told, _PIECE)
            if not piece:
                raise ProcessLookupError("it ended before it began")
            said += piece
        return int(json.loads(said)["child-pid"])

    def open(self) -> None:
        """Lets the program be executed. One that was ended before is no error."""
        with suppress(BrokenPipeError):
            os.write(self._go, b"x")

    def close(self) -> None:
        self._theirs.close()
        self._ours.close()
