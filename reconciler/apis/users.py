"""`atek.cloud/users-api`: the people of this node.

Params are positional, and answers the original's: a person is `{key, username, role}`, their settings are
`{mainServiceId?}`. Owners, and `system`, may do all of it; everybody else may read about themselves, and
choose the service that they see first. The last owner stays; what a removed person owned is stopped, and
kept for an owner to start or uninstall.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from reconciler.apis.caller import not_authorized, require_admin
from reconciler.apis.params import Options
from reconciler.errors import UserError
from reconciler.http.jsonrpc import RpcError
from reconciler.people.decide import SHORTEST_NAME, known
from reconciler.people.model import MEMBER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.apis.caller import Caller
    from reconciler.apis.params import Params
    from reconciler.people.model import Person
    from reconciler.people.port import People

    Method = Callable[[Caller, Params], Awaitable[object]]
    #: Installs the service that a person sees first; its id.
    InstallMain = Callable[[Person], Awaitable[str]]

API = "atek.cloud/users-api"
_log = logging.getLogger(__name__)

_Name = Annotated[str, Field(min_length=SHORTEST_NAME)]


class NewUser(Options):
    """Whom to make."""

    username: _Name
    password: str
    role: str | None = None


class UserUpdate(Options):
    """What to change."""

    username: _Name | None = None
    password: str | None = None
    role: str | None = None


class SettingsUpdate(Options):
    """What a person chose."""

    main_service_id: str | None = None


class UsersApi:
    """The methods by their names. They raise RpcError, UserError, or OSError when the disk is full.

    `install_main`: what everybody gets who is made, None for nothing.
    """

    def __init__(self, people: People, install_main: InstallMain | None = None) -> None:
        self._people = people
        self._install_main = install_main
        self.methods: dict[str, Method] = {
            "list": self._list,
            "get": self._get,
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
            "getSettings": self._get_settings,
            "updateSettings": self._update_settings,
        }

    async def _list(self, caller: Caller, params: Params) -> object:
        require_admin(caller)
        return {"users": [_told(each) for each in self._people.everybody.people.values()]}

    async def _get(self, caller: Caller, params: Params) -> object:
        return _told(self._about(caller, params))

    async def _create(self, caller: Caller, params: Params) -> object:
        require_admin(caller)
        wanted = params.options(0, NewUser)
        person = await self._people.create(wanted.username, wanted.password, wanted.role or MEMBER)
        if self._install_main is not None:
            await self._give_main(person, self._install_main)
        return _told(person)

    async def _give_main(self, person: Person, install: InstallMain) -> None:
        """As the original: who gets none is there all the same."""
        try:
            settings = {"mainServiceId": await install(person)}
            await self._people.update(person.key, settings=settings)
        except (UserError, RpcError, OSError) as error:
            _log.warning("the main service of %s could not be installed: %s", person.username, error)

    async def _update(self, caller: Caller, params: Params) -> object:
        require_admin(caller)
        key, wanted = params.text(0), params.options(1, UserUpdate)
        person = await self._people.update(
            key, username=wanted.username, password=wanted.password, role=wanted.role
        )
        return _told(person)

    async def _delete(self, caller: Caller, params: Params) -> object:
        require_admin(caller)
        await self._people.remove(params.text(0))
        return None

    async def _get_settings(self, caller: Caller, params: Params) -> object:
        return dict(self._about(caller, params).settings)

    async def _update_settings(self, caller: Caller, params: Params) -> object:
        person = self._about(caller, params)
        wanted = params.options(1, SettingsUpdate).model_dump(by_alias=True, exclude_none=True)
        return dict((await self._people.update(person.key, settings=wanted)).settings)

    def _about(self, caller: Caller, params: Params) -> Person:
        """Who is asked about, by somebody who may."""
        key = params.text(0)
        if not (caller.admin or caller.user == key):
            raise not_authorized()
        return known(self._people.everybody, key)


def _told(person: Person) -> dict[str, Any]:
    return {"key": person.key, "username": person.username, "role": person.role}
