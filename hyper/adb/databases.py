"""The databases of services: made, found by id or alias, configured, described, listed.

What is decided about the table of databases is decided by the table at one version, and written only if
nothing was written meanwhile; so an alias has one database, whoever else asks for it at the same moment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from hyper.adb.rules.access import SYSTEM, require_configure, require_enumerate, require_read, require_write
from hyper.adb.rules.entries import DATABASES, PRIVATE, PUBLIC, Entry, Owner, entry_of
from hyper.adb.rules.errors import bad_params, refused
from hyper.adb.rules.paths import db_key
from hyper.adb.rules.schemas import LARGEST, Schemas
from hyper.port import HyperError, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hyper.adb.rules.access import Caller
    from hyper.adb.rules.params import Config
    from hyper.adb.store import Store
    from hyper.adb.tables import Tables

    #: The table → the entry that is to be written, or None when there is nothing to do. Raises RpcError.
    Decide = Callable[[Mapping[str, Entry]], Entry | None]

#: How often a decision is made anew because the table changed under it.
ATTEMPTS = 20


class Databases:
    """`now` is the time as RFC 3339 has it; `new_name` names a new database in the store, never the same."""

    def __init__(
        self, store: Store, tables: Tables, *, now: Callable[[], str], new_name: Callable[[], str]
    ) -> None:
        self._store = store
        self._tables = tables
        self._now = now
        self._new_name = new_name

    # -- finding

    def resolve(self, caller: Caller, name: str) -> str:
        """The id of a database that is named by its id, or by an alias of the caller's."""
        found = db_key(name) or _of_alias(self._tables.databases.entries, caller.owner, name)
        if found is None:
            raise refused(f"Invalid database ID: {name}")
        return found

    async def readable(self, caller: Caller, name: str) -> str:
        """The id of a database that the caller may read."""
        db_id = self.resolve(caller, name)
        entry = self._tables.entry(db_id)
        if entry is None and not caller.admin:
            nodes_own = db_id == self._tables.server_db or await self._store.is_own(db_id, caller.service)
            require_read(caller, db_id, entry, nodes_own=nodes_own)
        else:
            require_read(caller, db_id, entry)
        return db_id

    def writable(self, caller: Caller, name: str) -> tuple[str, Entry | None]:
        """The id of a database that the caller may write, and what is declared about it."""
        db_id = self.resolve(caller, name)
        entry = self._tables.entry(db_id)
        require_write(caller, db_id, entry)
        return db_id, entry

    # -- the caller's own

    async def create(self, caller: Caller, config: Config, owner: Owner | None = None) -> dict[str, Any]:
        """DbInfo of a new one. It is public unless the config says otherwise, as it always was."""
        _check_schemas(config)
        return await self._create(owner or caller.owner, config, reuse=False)

    async def get_or_create(self, caller: Caller, alias: str, config: Config) -> dict[str, Any]:
        found = _of_alias(self._tables.databases.entries, caller.owner, alias)
        if found is None:
            _check_schemas(config)
            return await self._create(caller.owner, replace(config, alias=alias), reuse=True)
        return _brief(self._tables.databases.entries[found])

    async def configure(self, caller: Caller, name: str, config: Config) -> None:
        """Changes what the config names. Only an administrator's `owner` counts."""
        db_id = self.resolve(caller, name)
        _check_schemas(config)

        def decide(entries: Mapping[str, Entry]) -> Entry | None:
            entry = entries.get(db_id)
            require_configure(caller, entry)
            # Somebody else's database, which an administrator puts into somebody's hands.
            before = entry or Entry(db_id, access=PUBLIC, created_at=self._now())
            after = _configured(before, config)
            if after.alias and (after.alias, after.owner) != (before.alias, before.owner):
                _require_free(entries, after)
            return after if after != entry else None

        await self._change(decide)

    def owned(self, caller: Caller) -> list[dict[str, Any]]:
        """DbInfo of all that belong to the calling service."""
        entries = self._tables.databases.entries.values()
        return [entry.info() for entry in entries if entry.owner == caller.owner]

    # -- one of them

    async def config(self, caller: Caller, name: str) -> dict[str, Any]:
        db_id = await self.readable(caller, name)
        entry = self._tables.entry(db_id)
        if entry is None:
            raise refused("No config for this database found")
        return entry.config()

    async def describe(self, caller: Caller, name: str) -> dict[str, Any]:
        """DbInfo."""
        db_id = await self.readable(caller, name)
        if db_id == self._tables.server_db:
            return self._server_info()
        entry = self._tables.entry(db_id)
        if entry is not None:
            return entry.info()
        return {
            "dbId": db_id,
            "writable": await self._store.is_own(db_id, caller.service),
            "isServerDb": False,
        }

    # -- an administrator's

    def list_of_user(self, caller: Caller, user: str) -> list[dict[str, Any]]:
        """DbInfo of all that a user's services have. Everybody may ask for their own."""
        user = user or caller.user
        require_enumerate(caller, user)
        entries = self._tables.databases.entries.values()
        found = [entry.info() for entry in entries if entry.owner.user == user]
        return [self._server_info(), *found] if user == SYSTEM else found

    async def delete(self, name: str) -> None:
        """Nobody's any more, and the administrator's to read. Its records stay in the store."""
        db_id = db_key(name)
        if db_id is None:
            raise refused(f"Invalid database ID: {name}")
        await self._store_change(lambda entries: _deletion(entries, db_id))

    # -- inside

    def _server_info(self) -> dict[str, Any]:
        system = Owner(SYSTEM, SYSTEM)
        info = Entry(self._tables.server_db, system, access=PRIVATE, writable=True).info()
        return {**info, "isServerDb": True}

    async def _create(self, owner: Owner, config: Config, *, reuse: bool) -> dict[str, Any]:
        """`reuse`: where the alias has a database meanwhile, that one."""
        database = await self._store.hyper.create(self._new_name())
        fresh = _configured(
            Entry(database.db_id, owner, access=PUBLIC, created_at=self._now(), writable=True),
            replace(config, owner=None),
        )
        taken: list[Entry] = []

        def decide(entries: Mapping[str, Entry]) -> Entry | None:
            found = _of_alias(entries, owner, fresh.alias) if fresh.alias else None
            if found is not None and reuse:
                taken.append(entries[found])
                return None
            _require_free(entries, fresh)
            return fresh

        await self._change(decide)
        return _brief(taken[0] if taken else fresh)

    async def _change(self, decide: Decide) -> None:
        def writes(entries: Mapping[str, Entry]) -> Write | None:
            entry = decide(entries)
            return None if entry is None else Write((*DATABASES, entry.db_id), entry.to_record())

        await self._store_change(writes)

    async def _store_change(self, decide: Callable[[Mapping[str, Entry]], Write | None]) -> None:
        for _ in range(ATTEMPTS):
            version, entries = await self._table()
            write = decide(entries)
            if write is None or await self._written(write, version):
                return
        raise refused("The table of databases changes too often", code="CAS_FAILED", hint="try again")

    async def _table(self) -> tuple[int, dict[str, Entry]]:
        hyper, server_db = self._store.hyper, self._tables.server_db
        version = (await hyper.info(server_db)).version
        records = await hyper.list(server_db, DATABASES, version=version)
        return version, {record.path[-1]: entry_of(record.path[-1], record.value) for record in records}

    async def _written(self, write: Write, version: int) -> bool:
        try:
            after = await self._store.hyper.batch(self._tables.server_db, [write], if_version=version)
        except HyperError as error:
            if error.code == "CAS_FAILED":
                return False
            raise
        self._tables.apply(write.path, after - 1, write.value, deleted=write.deleted)
        return True


def _of_alias(entries: Mapping[str, Entry], owner: Owner, alias: str) -> str | None:
    return next((key for key, each in entries.items() if each.alias == alias and each.owner == owner), None)


def _require_free(entries: Mapping[str, Entry], entry: Entry) -> None:
    if entry.alias and _of_alias(entries, entry.owner, entry.alias) not in (None, entry.db_id):
        raise refused(f"Alias already in use: {entry.alias}")


def _configured(entry: Entry, config: Config) -> Entry:
    said = {name: getattr(config, name) for name in ("alias", "access", "schemas", "owner")}
    return replace(entry, **{name: value for name, value in said.items() if value is not None})


def _deletion(entries: Mapping[str, Entry], db_id: str) -> Write:
    if db_id not in entries:
        raise refused("DB not found")
    return Write((*DATABASES, db_id), deleted=True)


def _check_schemas(config: Config) -> None:
    """Raises RpcError. Looked at here and not where they are used: only what can be enforced is stored."""
    if config.schemas is None:
        return
    if len(orjson.dumps(config.schemas)) > LARGEST:
        raise bad_params(f"schemas: must be at most {LARGEST} bytes of JSON")
    Schemas(config.schemas)


def _brief(entry: Entry) -> dict[str, Any]:
    return {"dbId": entry.db_id, "writable": entry.writable}
