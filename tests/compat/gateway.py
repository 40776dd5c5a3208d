"""A node's APIs behind the smallest gateway there can be: one port, three callers, two APIs.

It stands for the router, and does for these tests what the router does for everybody: looks at the token,
finds who exports the API, and says to it who calls.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import anyio
from anyio.abc import SocketAttribute, SocketListener

from reconciler.apis.handler import EXPORTS
from reconciler.http import Request, Response, bind_tcp, json_response, serve_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from reconciler.http import Handler
    from tests.reconciler.api_nodes import World

#: Bearer token → the key of the user it acts for.
TOKENS = {"admin-token": "system", "alice-token": "alice", "bob-token": "bob"}


def gateway(inner: Handler) -> Handler:
    """Forwards to `inner`, the node itself."""
    paths = {export.api: export.path for export in EXPORTS}

    async def handle(request: Request) -> Response:
        user = TOKENS.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            return json_response(401, {"error": True, "message": "Not authorized"})
        api = parse_qs(request.query).get("api", [""])[0]
        if (request.method, request.path) != ("POST", "/_atek/gateway") or api not in paths:
            call_id = json.loads(request.body)["id"]
            message = f"No service available which matches {api}"
            error = {"code": -32601, "message": message}
            return json_response(200, {"jsonrpc": "2.0", "id": call_id, "error": error})
        headers = {"atek-auth-user": user, "atek-auth-service": "a service"}
        return await inner(replace(request, path=paths[api], query="", headers=headers))

    return handle


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[int]:
    """The port of a gateway to a node over this world."""
    bound = bind_tcp("127.0.0.1", 0)
    async with world.node() as apis, anyio.create_task_group() as tasks:
        listener = await SocketListener.from_socket(bound)
        tasks.start_soon(serve_http, listener, gateway(apis.handler))
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()
