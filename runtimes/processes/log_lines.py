"""Cuts what a program prints into lines, in one pass and in bounded memory, however long a line is."""

from __future__ import annotations

#: Bytes of a line that are shown; what is longer says how much is missing.
LONGEST_LINE = 256 * 1024


class LineCutter:
    """Takes bytes as they come, gives whole lines. `headless`: the first line began before what is read."""

    def __init__(self, *, headless: bool = False) -> None:
        self._begun = bytearray()
        self._cut = 0
        self._headless = headless

    def feed(self, chunk: bytes) -> list[str]:
        """All lines that end in what came until now."""
        # Zeros: the hole that is left where a log was trimmed, or where too much was printed.
        *ends, rest = chunk.replace(b"\0", b"").split(b"\n")
        lines = [self._end(part) for part in ends]
        self._keep(rest)
        return lines

    def rest(self) -> list[str]:
        """The line that has not ended yet, unless it is empty."""
        return [self._end(b"")] if self._begun else []

    def _keep(self, part: bytes) -> None:
        room = LONGEST_LINE - len(self._begun)
        self._begun += part[:room]
        self._cut += max(len(part) - room, 0)

    def _end(self, part: bytes) -> str:
        self._keep(part)
        text = self._begun.decode("utf-8", "replace")
        before = "(the beginning of this line is left out) …" if self._headless else ""
        after = f"… ({self._cut} more bytes of this line are left out)" if self._cut else ""
        self._begun, self._cut, self._headless = bytearray(), 0, False
        return f"{before}{text}{after}"
