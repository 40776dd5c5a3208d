"""The Atek Database as one thing: made when the store can first be reached, then kept up to date.

It answers from the start: a call that comes before the tables are known waits for them, for a while.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hyper.adb.databases import Databases
from hyper.adb.methods import Methods
from hyper.adb.records import Records
from hyper.adb.rpc import answer
from hyper.adb.rules.errors import RpcError, refused
from hyper.adb.store import Store
from hyper.adb.tables import Tables, follow
from hyper.port import HyperError

if TYPE_CHECKING:
    from hyper.adb.feed import Feed
    from hyper.adb.tables import Table
    from hyper.port import Hyper

_log = logging.getLogger(__name__)

#: The node's own database of records, by its name in the store.
SERVER_DATABASE = "records"
#: Seconds that a call waits at the start.
PATIENCE = 10.0
#: Seconds between two attempts to reach the store.
PAUSE = 0.25
_TABLES = 2


class Adb:
    """Implements `http.Application`. `own` is this service's key."""

    def __init__(self, hyper: Hyper, *, own: str = "") -> None:
        self._hyper = hyper
        self._own = own
        self._ready = asyncio.Event()
        self._seen: set[int] = set()
        self.feeds: set[Feed] = set()
        self._store: Store
        self._databases: Databases
        self._methods: Methods

    async def run(self) -> None:
        """Follows the tables, for ever."""
        tables = Tables(await self._server_db())
        self._store = Store(self._hyper)
        self._databases = Databases(self._store, tables, now=_now, new_name=_new_name)
        records = Records(self._store, self._databases, tables)
        self._methods = Methods(tables, self._databases, records, own=self._own)
        followed: tuple[Table[Any], ...] = (tables.databases, tables.admins)
        await asyncio.gather(*(self._follow(tables.server_db, table) for table in followed))

    # -- http.Application

    async def answer(self, body: bytes, user: str, service: str) -> bytes:
        async def call(name: str, params: Any) -> object:
            if not self._ready.is_set():
                await self._wait()
            return await self._methods.call(user, service, name, params)

        return await answer(body, call)

    def health(self) -> tuple[bool, bytes]:
        if self._ready.is_set():
            return True, b'{"ready":true}'
        return False, b'{"ready":false,"message":"the Hypercore daemon has not answered yet"}'

    def feed(self, user: str, service: str) -> Feed | None:
        if not self._ready.is_set():
            return None
        # Only for those that use it: its library takes as much memory as the rest of this.
        from hyper.adb.feed import Feed

        feed = Feed(self._store, self._databases, self._methods, (user, service), self.feeds.discard)
        self.feeds.add(feed)
        return feed

    # -- inside

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._ready.wait(), PATIENCE)
        except TimeoutError as error:
            raise refused("The database is not ready: core.hyper does not answer", code="AWAY") from error

    async def _server_db(self) -> str:
        while True:
            try:
                return (await self._hyper.create(SERVER_DATABASE)).db_id
            except HyperError as error:
                if error.code not in ("AWAY", "HELD"):
                    _log.warning("the server database cannot be opened: %s", error)
            await asyncio.sleep(PAUSE)

    async def _follow(self, server_db: str, table: Table[Any]) -> None:
        def seen() -> None:
            self._seen.add(id(table))
            if len(self._seen) == _TABLES:
                self._ready.set()

        while True:
            try:
                await follow(self._hyper, server_db, table, seen)
            except (HyperError, RpcError) as error:
                _log.warning("the tables cannot be followed: %s", error)
            await asyncio.sleep(PAUSE)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_name() -> str:
    return f"adb/{secrets.token_hex(16)}"
