"""What the control socket offers of this node from afar: pairing devices, and taking that back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import UserError
from reconciler.serve.params import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.port import NodeApi

    Method = Callable[[NodeApi, dict[str, Any]], Awaitable[object]]


async def _pair(node: NodeApi, params: dict[str, Any]) -> object:
    shown = await node.remote.pair(_person(node, params.get("user")))
    return {"code": shown.code, "seconds": shown.seconds}


def _person(node: NodeApi, username: object) -> str:
    """The key of whose device it will be; nobody's where there are no people. Raises UserError."""
    people = node.people.everybody.people
    if not people:
        return ""
    if isinstance(username, str) and username:
        if (found := node.people.named(username)) is None:
            raise UserError(f"there is nobody called {username}", hint="`atek user list` shows who there is")
        return found.key
    if len(people) == 1:
        return next(iter(people))
    raise UserError("several people live here", hint="`atek pair --user NAME` says whose device it is")


async def _pairing(node: NodeApi, params: dict[str, Any]) -> object:
    state, device = node.remote.pairing()
    return {"state": state, "device": device}


async def _unpair(node: NodeApi, params: dict[str, Any]) -> object:
    return {"name": await node.remote.unpair(text(params, "name"))}


async def _devices(node: NodeApi, params: dict[str, Any]) -> object:
    return await node.remote.devices()


METHODS: dict[str, Method] = {"pair": _pair, "pairing": _pairing, "unpair": _unpair, "devices": _devices}
