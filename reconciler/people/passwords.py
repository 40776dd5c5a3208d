"""Passwords: hashed by Argon2id, in a thread, one at a time.

The cost is what a Raspberry Pi can bear beside its work: 32 MiB and three passes, more than OWASP's least
(19 MiB and two, Password Storage Cheat Sheet). Whether there is such a person or not, one hash is computed.
Those who ask from the machine itself wait in a line of their own, so strangers cannot keep its owner waiting.
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from argon2 import PasswordHasher

_T = TypeVar("_T")

#: KiB, and passes.
MEMORY, PASSES = 32 * 1024, 3
#: Those who wait for a hash, of each line.
MOST_WAITING = 16


class Passwords:
    """Hashes and checks passwords. Everything raises UserError where too many wait already."""

    def __init__(self, *, memory: int = MEMORY, passes: int = PASSES) -> None:
        self._cost = (memory, passes)
        self._lines: dict[bool, anyio.CapacityLimiter] = {}
        self._in_line = {True: 0, False: 0}
        self._nobodys = ""

    async def hash(self, password: str) -> str:
        """With a salt of its own, in the PHC form that says what it cost."""
        return await self._run(lambda hasher: hasher.hash(password), local=True)

    async def matches(self, hashed: str, password: str, *, local: bool = False) -> bool:
        """Whether it is that password; of nobody (an empty hash) it never is, after as long a time."""
        found = await self._run(lambda hasher: self._verify(hasher, hashed, password), local=local)
        return found and bool(hashed)

    def is_dated(self, hashed: str) -> bool:
        """Whether it cost another effort than one would today."""
        return _hasher(*self._cost).check_needs_rehash(hashed)

    def _verify(self, hasher: PasswordHasher, hashed: str, password: str) -> bool:
        if not self._nobodys:
            self._nobodys = hasher.hash(secrets.token_hex())
        return _verify(hasher, hashed or self._nobodys, password)

    async def _run(self, what: Callable[[PasswordHasher], _T], *, local: bool) -> _T:
        if self._in_line[local] > MOST_WAITING:
            raise UserError("Too many people sign in at the moment", hint="try again in a few seconds")
        self._in_line[local] += 1
        try:
            line = self._lines.setdefault(local, anyio.CapacityLimiter(1))
            return await anyio.to_thread.run_sync(what, _hasher(*self._cost), limiter=line)
        finally:
            self._in_line[local] -= 1


@lru_cache(1)
def _hasher(memory: int, passes: int) -> PasswordHasher:
    # Not at the top: a home without people needs none.
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)


def _verify(hasher: PasswordHasher, hashed: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
