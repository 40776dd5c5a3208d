"""One line of JSON for each request, when somebody wants it. Never a token, never a query.

Lines gather and are written together, at most a second later; a disk that is full loses lines, not requests.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from runtimes.router.decide.decision import Decision

#: Bytes that gather before they are written anyway.
_GATHER = 64 * 1024


class AccessLog:
    """Appends to a file, which others may rotate by moving it: it is opened anew once it is gone."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, decision: Decision, *, peer: str, status: int, seconds: float, request_id: bytes) -> None:
        """One request that was answered."""
        head, caller = decision.head, decision.caller
        self._add(
            {
                "time": round(time.time(), 3),
                "id": request_id.decode(),
                "peer": peer or "unix",
                "method": head.method.decode(),
                "host": head.host,
                "path": head.path.decode("latin-1"),
                "route": decision.series[1],
                "status": status,
                "ms": round(seconds * 1000, 3),
                "user": caller.user if caller else None,
                "service": caller.service if caller else None,
            }
        )

    def refused(self, *, peer: str, status: int, reason: str) -> None:
        """What could not even be read as a request; nothing of it is written down, it may be anything."""
        self._add(
            {
                "time": round(time.time(), 3),
                "peer": peer or "unix",
                "status": status,
                "reason": reason,
            }
        )

    def _add(self, entry: dict[str, Any]) -> None:
        line = orjson.dumps(entry)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _GATHER:
            self.flush()

    def flush(self) -> None:
        """Writes what has gathered."""
        if not self._lines:
            return
        data = b"\n".join(self._lines) + b"\n"
        self._lines, self._size = [], 0
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, data)
            finally:
                os.close(file)
        except OSError:
            return
