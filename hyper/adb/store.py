"""The store of databases, for calls that come in any order: what is not open is opened.

The daemon opens a database when somebody asks for it, and forgets that when it ends. So a call is made as if
it were open, and once more after opening it where it was not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hyper.adb.rules.errors import refused
from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyper.port import Database, Hyper

T = TypeVar("T")

#: Databases that no table names, and that are opened in one life of this process for one asker.
MOST_UNLISTED = 100


class Store:
    """`hyper` is for what needs nothing opened."""

    def __init__(self, hyper: Hyper) -> None:
        self.hyper = hyper
        self._own: set[str] = set()
        self._others: set[str] = set()
        self._unlisted: dict[str, int] = {}

    async def call(self, db_id: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns; it is called twice where the database was not open. Raises HyperError."""
        try:
            return await ask()
        except HyperError as error:
            if error.code != "NOT_FOUND":
                raise
        await self.open(db_id)
        return await ask()

    async def open(self, db_id: str) -> Database:
        """Raises HyperError."""
        database = await self.hyper.open(db_id)
        (self._own if database.writable else self._others).add(db_id)
        return database

    async def is_own(self, db_id: str, asker: str) -> bool:
        """Whether this node is the writer of a database.

        A key is all that `asker` needs to have a database opened, and followed from then on: so not too many.
        Raises RpcError, and HyperError.
        """
        if db_id not in self._own and db_id not in self._others:
            opened = self._unlisted.get(asker, 0)
            if opened >= MOST_UNLISTED:
                raise refused("Too many databases of others are open", hint="restart core.adb")
            self._unlisted[asker] = opened + 1
            await self.open(db_id)
        return db_id in self._own
