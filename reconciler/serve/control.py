"""The control socket: how the command line talks to a running node, and nobody else.

JSON-RPC 2.0 by POST to /_atek/control, and /_atek/events, a stream with one JSON object a line, for as long
as the client stays. The socket is the owner's alone, and the kernel says who connects: this user or root.
The health pages are there too.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from anyio.abc import SocketAttribute, SocketStream

from reconciler.errors import UserError
from reconciler.http.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError, respond
from reconciler.http.messages import Request, Response, json_response
from reconciler.serve.health import health
from reconciler.serve.params import number, text
from reconciler.serve.peer_methods import METHODS as PEER_METHODS
from reconciler.serve.people_methods import METHODS as PEOPLE_METHODS
from reconciler.serve.remote_methods import METHODS as REMOTE_METHODS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from reconciler.decide.event import EventRecord
    from reconciler.http.messages import Handler
    from reconciler.port import NodeApi

    Method = Callable[[NodeApi, dict[str, Any]], Awaitable[object]]

CONTROL_PATH = "/_atek/control"
EVENTS_PATH = "/_atek/events"
USER_ERROR = -32000
_MOST_EVENTS = 1000
# struct ucred of unix(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("iII")


def is_owner(stream: SocketStream) -> bool:
    """Whether the process at the other end is this user's, or root's."""
    raw = stream.extra(SocketAttribute.raw_socket)
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in (0, os.geteuid())


def control(node: NodeApi) -> Handler:
    """Everything the owner may ask."""
    pages = health(node)
    call = partial(_call, node)

    async def handle(request: Request) -> Response:
        if request.path == CONTROL_PATH:
            return await respond(request.body, call) if request.method == "POST" else _only("POST")
        if request.path == EVENTS_PATH:
            return _events_page(node, request) if request.method == "GET" else _only("GET")
        return await pages(request)

    return handle


def _only(method: str) -> Response:
    message = f"this address takes {method}"
    return json_response(405, {"error": True, "message": message}, headers={"allow": method})


# Calls


async def _call(node: NodeApi, name: str, params: Any) -> object:
    method = _METHODS.get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"there is no method {name}")
    params = {} if params is None else params
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object")
    try:
        return await method(node, params)
    except UserError as error:
        raise RpcError(USER_ERROR, error.message, {"hint": error.hint}) from error


async def _status(node: NodeApi, params: dict[str, Any]) -> object:
    """With `id` somebody wants to know all about that one, and it is looked at more closely."""
    if "id" in params:
        await node.look_at_kept(text(params, "id"))
    return node.status()


async def _recent(node: NodeApi, params: dict[str, Any]) -> object:
    limit = min(number(params, "limit", 200), _MOST_EVENTS)
    return [asdict(event) for event in node.events.recent(limit)]


async def _stop(node: NodeApi, params: dict[str, Any]) -> object:
    await node.stop_service(text(params, "id"))
    return {}


async def _start(node: NodeApi, params: dict[str, Any]) -> object:
    await node.start_service(text(params, "id"))
    return {}


async def _restart(node: NodeApi, params: dict[str, Any]) -> object:
    await node.restart_service(text(params, "id"))
    return {}


async def _adopt(node: NodeApi, params: dict[str, Any]) -> object:
    await node.adopt_data(text(params, "id"))
    return {}


async def _grants(node: NodeApi, params: dict[str, Any]) -> object:
    return node.granting.rows()


async def _grant(node: NodeApi, params: dict[str, Any]) -> object:
    return await node.granting.grant(text(params, "id"), _rights(params))


async def _revoke(node: NodeApi, params: dict[str, Any]) -> object:
    return await node.granting.revoke(text(params, "id"), _rights(params))


def _rights(params: dict[str, Any]) -> list[str]:
    """Which ones; none are all."""
    found = params.get("rights", [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise RpcError(INVALID_PARAMS, "rights must be a list of their ids")
    return found


async def _sync(node: NodeApi, params: dict[str, Any]) -> object:
    name = params.get("name")
    if name is not None and not isinstance(name, str):
        raise RpcError(INVALID_PARAMS, "name must be the name of a Git source")
    return await node.git.sync(name)


async def _propose(node: NodeApi, params: dict[str, Any]) -> object:
    ref = params.get("ref", "")
    if not isinstance(ref, str):
        raise RpcError(INVALID_PARAMS, "ref must be text")
    return await node.git.propose(text(params, "name"), ref)


async def _updates(node: NodeApi, params: dict[str, Any]) -> object:
    return node.updates.waiting()


async def _update(node: NodeApi, params: dict[str, Any]) -> object:
    return await node.updates.take(text(params, "id"))


async def _notifications(node: NodeApi, params: dict[str, Any]) -> object:
    return node.notifications.status()


async def _test_notifications(node: NodeApi, params: dict[str, Any]) -> object:
    return await node.notifications.test()


async def _down(node: NodeApi, params: dict[str, Any]) -> object:
    node.shut_down()
    return {"pid": os.getpid()}


_METHODS: dict[str, Method] = {
    "status": _status,
    "events": _recent,
    "stop": _stop,
    "start": _start,
    "restart": _restart,
    "adopt": _adopt,
    "grants": _grants,
    "grant": _grant,
    "revoke": _revoke,
    "sync": _sync,
    "propose": _propose,
    "updates": _updates,
    "update": _update,
    "notifications": _notifications,
    "testNotifications": _test_notifications,
    "down": _down,
    **PEER_METHODS,
    **PEOPLE_METHODS,
    **REMOTE_METHODS,
}


# Events


def _events_page(node: NodeApi, request: Request) -> Response:
    """`?recent=N` begins with the last N events; from those to the live ones none is lost or repeated."""
    wanted = parse_qs(request.query).get("recent", ["0"])[0]
    if not (wanted.isascii() and wanted.isdecimal() and len(wanted) < 10):
        return json_response(400, {"error": True, "message": "recent must be a whole number from 0"})
    return Response(200, _event_lines(node, min(int(wanted), _MOST_EVENTS)), "application/x-ndjson")


async def _event_lines(node: NodeApi, recent: int) -> AsyncGenerator[bytes, None]:
    # An empty line at once: who has read it knows that nothing from here on will be missed.
    with node.events.subscribe() as events:
        yield b"\n" + b"".join(_line(event) for event in node.events.recent(recent))
        async for event in events:
            yield _line(event)


def _line(event: EventRecord) -> bytes:
    return json.dumps(asdict(event)).encode() + b"\n"
