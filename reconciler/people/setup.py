"""The code that makes the first person, for whoever holds it: once, for a while, and never on disk.

It is shown where only the node's owner looks, and as good as a password until it is used, so only its hash is
kept, in memory. A restart, a person, or the end of its time makes it worthless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

#: Seconds.
GOOD_FOR = 3600.0


class SetupCode:
    """At most one code at a time. `now` is a monotonic clock's."""

    def __init__(self) -> None:
        self._digest = b""
        self._until = 0.0

    def make(self, now: float) -> str:
        """A new one; the last one is worth nothing any more."""
        code = secrets.token_urlsafe(16)
        self._digest, self._until = _digest(code), now + GOOD_FOR
        return code

    def is_good(self, code: str, now: float) -> bool:
        """Whether it would do. It stays good."""
        return bool(self._digest) and now < self._until and hmac.compare_digest(_digest(code), self._digest)

    def take(self, code: str, now: float) -> bool:
        """Whether it did; if so, it never does again. What is not the code leaves it as it is."""
        good = self.is_good(code, now)
        if good:
            self.forget()
        return good

    def forget(self) -> None:
        """There is somebody now."""
        self._digest, self._until = b"", 0.0


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
