"""A router that lives in the test, and all that a router has around it: services of ours, and clients."""

from __future__ import annotations

import asyncio
import json
import tempfile
from abc import abstractmethod
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio

from runtimes.router.carry.client import Client
from runtimes.router.carry.handlers import accept
from runtimes.router.carry.plane import Plane
from runtimes.router.decide.bound_sessions import bound_value, cookie_name
from runtimes.router.decide.table import (
    SYSTEM,
    Backend,
    Credential,
    Export,
    ServiceRoute,
    Session,
    make_table,
    session_id,
)
from tests.runtimes.router.instances import Instance, Serve, echo
from tests.runtimes.router.wire import PATIENCE, Message, Wire, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from runtimes.router.limits import Limits

ADMIN = "the-admins-token"
#: What most tests call, at a path that is not the API's name.
API, PATH = "example.com/notes", "/_api/notes"
RPC = (Export(API, PATH),)
SOCKET = (Export(API, PATH, "proxy"),)
#: Seconds for what is on its way when a test is over.
GRACE = 0.2


async def until(holds: Callable[[], object]) -> None:
    """Waits for a state that announces itself to nobody."""
    with anyio.fail_after(PATIENCE):
        while not holds():
            await anyio.sleep(0.001)


class Service:
    """One service: its route as it was published last, and its instances."""

    def __init__(self, around: Surroundings, route: ServiceRoute, instances: list[Instance]) -> None:
        self._around = around
        self.route = route
        self.instances = instances

    @property
    def id(self) -> str:
        return self.route.id

    @property
    def host(self) -> str:
        return f"{self.id}.localhost:{self._around.port}"

    @property
    def token(self) -> str:
        return self.route.credentials[0].token

    @property
    def bearer(self) -> str:
        return f"Authorization: Bearer {self.token}"

    def cookie(self, session: str) -> str:
        """What a browser sends to its host that has that cookie at the node's own."""
        return bound_cookie(session, self.route)

    @property
    def requests(self) -> list[Message]:
        """All that reached any of its instances."""
        return [request for instance in self.instances for request in instance.requests]

    @property
    def request(self) -> Message:
        """The only one."""
        (only,) = self.requests
        return only

    def publish(self, *ready: Instance, **changes: Any) -> None:
        """With these instances ready, none if none is named."""
        self.route = replace(self.route, backends=tuple(each.backend for each in ready), **changes)
        self._around.update({self.id: self.route})


class Surroundings:
    """A router's services and clients, and where it listens: TCP and a Unix socket. Use it as a context."""

    def __init__(self) -> None:
        self.port = 0
        self._instances: list[Instance] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atek-router-")))
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._tasks.cancel_scope.cancel)
            stack.push_async_callback(self._settle)
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def _settle(self) -> None:
        """Clients and router are gone: instances see that by themselves, if they wait for anything from them.

        A wait for a socket had better not be cancelled in the moment in which the socket has news.
        """
        with anyio.move_on_after(GRACE):
            await until(lambda: not any(each.open for each in self._instances))

    @abstractmethod
    async def _open(self, stack: AsyncExitStack) -> None:
        """Begins to listen on `path` and a port; the stack ends it."""

    @abstractmethod
    def update(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        """Tells the router."""

    @property
    def path(self) -> str:
        """The router's Unix socket."""
        return str(self.folder / "gateway.sock")

    # -- services

    async def service(
        self,
        service_id: str = "notes",
        serve: Serve = echo,
        *,
        replicas: int = 1,
        exports: tuple[Export, ...] = RPC,
        tcp: bool = False,
        **more: Any,
    ) -> Service:
        """A service whose instances are all ready, with a token of its own, owned by the node."""
        instances = [
            await self.instance(service_id, serve, exports=exports, tcp=tcp) for _ in range(replicas)
        ]
        more = {"owner": SYSTEM, "credentials": (Credential(f"token-of-{service_id}"),), **more}
        service = Service(
            self, ServiceRoute(service_id, f"key-of-{service_id}", exports=exports, **more), instances
        )
        service.publish(*instances)
        return service

    async def instance(
        self, service_id: str, serve: Serve = echo, *, exports: tuple[Export, ...] = RPC, tcp: bool = False
    ) -> Instance:
        """Another instance, which listens, and which nobody knows of yet."""
        number = len(self._instances) + 1
        socket = None if tcp else str(self.folder / f"{number}.sock")
        instance = Instance(Backend(f"{service_id}-{number}", socket=socket, exports=exports), serve)
        self._instances.append(instance)
        await self._tasks.start(instance.run)
        return instance

    # -- clients

    async def connect(self, *, unix: bool = False) -> Wire:
        """A client's connection, closed at the end."""
        stream = await (anyio.connect_unix(self.path) if unix else anyio.connect_tcp("127.0.0.1", self.port))
        self._stack.push_async_callback(stream.aclose)
        return Wire(stream)

    async def ask(
        self,
        method: str = "GET",
        target: str = "/",
        *fields: str,
        host: str = "localhost",
        body: bytes | None = None,
        unix: bool = False,
    ) -> Message:
        """One request on a connection of its own, and its answer."""
        client = await self.connect(unix=unix)
        await client.send(request(method, target, *fields, host=host, body=body))
        answer = await client.answer(to=method)
        await client.close()
        return answer

    async def post(
        self, body: Any, *fields: str, api: str = API, token: str | None = ADMIN, unix: bool = False
    ) -> Message:
        """What the gateway answers to this body (bytes as they are, anything else as JSON)."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        if token is not None:
            fields = (f"Authorization: Bearer {token}", *fields)
        return await self.ask("POST", f"/_atek/gateway?api={api}", *fields, body=sent, unix=unix)

    def start(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        """Runs something beside the test, until everything ends."""
        self._tasks.start_soon(partial(function, *args, **named))


class World(Surroundings):
    """`plane` is the router; it lives in the test's own loop."""

    def __init__(self) -> None:
        super().__init__()
        self.plane = Plane(admin_tokens=[ADMIN])

    def update(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        self.plane.update(routes)

    def sign_in(self, people: Mapping[str, Session], *, private: bool) -> None:
        """These are signed in, by their cookies, and nobody else."""
        ended = dict.fromkeys(self.plane.table.sessions)
        self.plane.update_sessions({**ended, **sessions(people)})
        self.plane.set_private(private)

    @property
    def only_client(self) -> Client:
        """The router's side of the only connection."""
        (client,) = self.plane.clients
        assert isinstance(client, Client)
        return client

    def replace_plane(self, limits: Limits | None = None, **settings: Any) -> None:
        """Another router, set up as a test wants it, for everything that comes after."""
        self.plane = Plane(admin_tokens=[ADMIN], limits=limits, **settings)

    async def _open(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        # The plane of the moment: a test may want another one before anybody connects.
        tcp = await loop.create_server(lambda: accept(self.plane), "127.0.0.1", 0)
        stack.callback(tcp.close)
        self.port = tcp.sockets[0].getsockname()[1]
        unix = await loop.create_unix_server(lambda: accept(self.plane), self.path)
        stack.callback(unix.close)
        stack.callback(self._close_plane)

    def _close_plane(self) -> None:
        for client in list(self.plane.clients):
            client.abort_all()
        for pool in self.plane.pools.values():
            pool.retire()


def bound_cookie(session: str, route: ServiceRoute, tokens: Iterable[str] = (ADMIN,)) -> str:
    """At a service's host, for somebody who has that session cookie at the node's own."""
    value = bound_value(make_table({}, admin_tokens=tokens), session_id(session), route)
    return f"Cookie: {cookie_name(route, secure=False).decode()}={value}"


def sessions(people: Mapping[str, Session]) -> dict[str, Session]:
    """By what their cookies are known by."""
    return {session_id(cookie): each for cookie, each in people.items()}


def call(method: str = "echo", params: Any = (), call_id: Any = 1) -> dict[str, Any]:
    """A JSON-RPC call."""
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": list(params)}


def notification(method: str = "note", params: Any = ()) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": list(params)}
