"""The methods of `atek.cloud/adb-api`, by name: what each takes from its params, and who does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyper.adb.rules.access import SYSTEM, Caller, not_authorized, require_admin
from hyper.adb.rules.entries import Owner
from hyper.adb.rules.errors import METHOD_NOT_FOUND, RpcError, refused, translated
from hyper.adb.rules.params import Params
from hyper.adb.rules.paths import db_key
from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyper.adb.databases import Databases
    from hyper.adb.records import Records
    from hyper.adb.tables import Tables

    Method = Callable[[Caller, Params], Awaitable[object]]


class Methods:
    """`own` is this service's key."""

    def __init__(self, tables: Tables, databases: Databases, records: Records, *, own: str = "") -> None:
        self._tables = tables
        self._databases = databases
        self._records = records
        self._own = own
        self._by_name: dict[str, Method] = {
            "init": self._init,
            "getConfig": self._get_config,
            "dbCreate": self._db_create,
            "dbGetOrCreate": self._db_get_or_create,
            "dbConfigure": self._db_configure,
            "dbGetConfig": self._db_get_config,
            "dbDescribe": self._db_describe,
            "dbList": self._db_list,
            "adminListDbsByOwningUser": self._admin_list,
            "adminCreateDb": self._admin_create,
            "adminEditDbConfig": self._admin_edit,
            "adminDeleteDb": self._admin_delete,
            "recordList": self._record_list,
            "recordGet": self._record_get,
            "recordPut": self._record_put,
            "recordDelete": self._record_delete,
            "recordDiff": self._record_diff,
        }

    def caller(self, user: str, service: str) -> Caller:
        """Who calls, as the router said. Raises RpcError where it said nothing: nobody may do nothing."""
        if not user or not service:
            raise not_authorized()
        admin = user == SYSTEM or user in self._tables.admins.entries
        return Caller(user, service, admin, self._own)

    async def call(self, user: str, service: str, name: str, given: Any) -> object:
        """The result, as a value of JSON. Raises RpcError for all that is foreseen."""
        caller = self.caller(user, service)
        method = self._by_name.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")
        try:
            return await method(caller, Params(given))
        except HyperError as error:
            raise translated(error) from error

    # -- the process

    async def _init(self, caller: Caller, params: Params) -> None:
        """The server database is the node's own, and known from the start: nothing is left to be said."""
        _require_system(caller)
        wanted = params.server_db(0)
        if wanted and db_key(wanted) != self._tables.server_db:
            raise refused("ADB has already been initialized")

    async def _get_config(self, caller: Caller, params: Params) -> object:
        _require_system(caller)
        return {"serverDbId": self._tables.server_db}

    # -- databases

    async def _db_create(self, caller: Caller, params: Params) -> object:
        return await self._databases.create(caller, params.config(0))

    async def _db_get_or_create(self, caller: Caller, params: Params) -> object:
        return await self._databases.get_or_create(caller, params.text(0), params.config(1))

    async def _db_configure(self, caller: Caller, params: Params) -> None:
        config = params.config(1).without_owner()
        await self._databases.configure(caller, params.text(0), config)

    async def _db_get_config(self, caller: Caller, params: Params) -> object:
        return await self._databases.config(caller, params.text(0))

    async def _db_describe(self, caller: Caller, params: Params) -> object:
        return await self._databases.describe(caller, params.text(0))

    async def _db_list(self, caller: Caller, params: Params) -> object:
        return self._databases.owned(caller)

    # -- an administrator's

    async def _admin_list(self, caller: Caller, params: Params) -> object:
        return self._databases.list_of_user(caller, params.optional_text(0))

    async def _admin_create(self, caller: Caller, params: Params) -> object:
        require_admin(caller)
        config = params.config(0)
        given = config.owner or Owner()
        owner = Owner(given.user or caller.user, given.service or caller.service)
        return await self._databases.create(caller, config, owner)

    async def _admin_edit(self, caller: Caller, params: Params) -> None:
        require_admin(caller)
        await self._databases.configure(caller, params.text(0), params.config(1))

    async def _admin_delete(self, caller: Caller, params: Params) -> None:
        require_admin(caller)
        await self._databases.delete(params.text(0))

    # -- records

    async def _record_list(self, caller: Caller, params: Params) -> object:
        return await self._records.listing(caller, params.text(0), params.prefix(1), params.range(2))

    async def _record_get(self, caller: Caller, params: Params) -> object:
        return await self._records.get(caller, params.text(0), params.path(1))

    async def _record_put(self, caller: Caller, params: Params) -> object:
        return await self._records.put(caller, params.text(0), params.path(1), params.value(2))

    async def _record_delete(self, caller: Caller, params: Params) -> None:
        await self._records.delete(caller, params.text(0), params.path(1))

    async def _record_diff(self, caller: Caller, params: Params) -> object:
        return await self._records.diff(caller, params.text(0), params.versions(1))


def _require_system(caller: Caller) -> None:
    """Not even a user who is an administrator."""
    if caller.user != SYSTEM:
        raise not_authorized()
