"""A node's APIs behind a real router: one port, three callers."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketListener

from reconciler.apis.handler import EXPORTS
from reconciler.http import bind_tcp, bind_unix, serve_http
from runtimes.router.remote import RouterProcess
from runtimes.router.table import NODE, SYSTEM, Backend, Credential, ServiceRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.reconciler.api_nodes import World

#: An administrator's, and those of two users' services.
ADMIN, ALICE, BOB = "admin-token", "alice-token", "bob-token"


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[int]:
    """The port of a router that leads to a node over this world."""
    with bind_tcp("127.0.0.1", 0) as bound:
        router = RouterProcess((bound,), {"domain": "localhost", "adminTokens": [ADMIN]})
        path = world.home / "node.sock"
        backend = Backend("node", socket=os.fspath(path), exports=EXPORTS)
        router.publish(
            {
                NODE: ServiceRoute(NODE, SYSTEM, exports=EXPORTS, backends=(backend,)),
                "alices": ServiceRoute("alices", "a", owner="alice", credentials=(Credential(ALICE),)),
                "bobs": ServiceRoute("bobs", "b", owner="bob", credentials=(Credential(BOB),)),
            }
        )
        async with world.node() as apis, anyio.create_task_group() as tasks:
            tasks.start_soon(serve_http, await SocketListener.from_socket(bind_unix(path)), apis.handler)
            tasks.start_soon(router.run)
            yield bound.getsockname()[1]
            tasks.cancel_scope.cancel()
