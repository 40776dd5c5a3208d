"""The store of databases, for calls that come in any order: what is not open is opened.

The daemon opens a database when somebody asks for it, and forgets that when it ends. So a call is made as if
it were open, and once more after opening it where it was not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hyper.adb.errors import refused
from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyper.port import Database, Hyper

T = TypeVar("T")

#: Databases of others that one life of this service opens because somebody gave their keys.
MOST_STRANGERS = 1000


class Store:
    """`hyper` is for what needs nothing opened."""

    def __init__(self, hyper: Hyper) -> None:
        self.hyper = hyper
        self._own: set[str] = set()
        self._strangers: set[str] = set()

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
        """Raises HyperError, and RpcError when too many were opened."""
        if len(self._strangers) >= MOST_STRANGERS and db_id not in self._strangers | self._own:
            raise refused("Too many databases of others are open", hint="restart core.adb")
        database = await self.hyper.open(db_id)
        (self._own if database.writable else self._strangers).add(db_id)
        return database

    async def is_own(self, db_id: str) -> bool:
        """Whether this node is the writer of a database."""
        if db_id not in self._own and db_id not in self._strangers:
            await self.open(db_id)
        return db_id in self._own
