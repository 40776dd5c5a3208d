"""A service's instance as a test wants it: it writes down what reached it, and answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketAttribute

from tests.runtimes.router.wire import Message, Wire, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

    from runtimes.router.decide.table import Backend


class Asked(Wire):
    """An instance's end of a connection, with the request that is to be answered."""

    def __init__(self, stream: SocketStream, number: int) -> None:
        super().__init__(stream)
        self.number = number
        self.request: Message
        self.unread = False

    async def body(self) -> bytes:
        """The request's body, which is read only when it is wanted."""
        if self.unread:
            self.unread = False
            self.request.body = await self.body_of(self.request)
        return self.request.body

    async def respond(self, status: int, body: bytes | str = b"", *fields: str) -> None:
        await self.send(reply(status, body, *fields))


Serve = Callable[[Asked], Awaitable[None]]


@dataclass
class Visit:
    """One request as it reached an instance: on its how-manieth connection, and what."""

    connection: int
    request: Message


class Instance:
    """Listens on a Unix socket, or on TCP. `serve` is called for each request whose head has come."""

    def __init__(self, backend: Backend, serve: Serve) -> None:
        self.backend = backend
        self.serve = serve
        self.visits: list[Visit] = []
        self.connections = 0
        self.open = 0
        self.gone = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def requests(self) -> list[Message]:
        return [visit.request for visit in self.visits]

    @property
    def request(self) -> Message:
        """The only one that came."""
        (visit,) = self.visits
        return visit.request

    @property
    def calls(self) -> list[Any]:
        """The bodies of all requests, as JSON."""
        return [request.json for request in self.requests]

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Listens until its scope is cancelled; then nothing listens there any more."""
        with self._scope:
            async with await self._listener() as listener:
                task_status.started()
                await listener.serve(self._handle)
        self.gone.set()

    async def stop(self) -> None:
        """It is gone, and everything with it that it was doing."""
        self._scope.cancel()
        await self.gone.wait()

    async def _listener(self) -> Any:
        if self.backend.socket is not None:
            return await anyio.create_unix_listener(self.backend.socket)
        listener = await anyio.create_tcp_listener(local_host=self.backend.host)
        self.backend = replace(self.backend, port=listener.extra(SocketAttribute.local_port))
        return listener

    async def _handle(self, stream: SocketStream) -> None:
        self.connections += 1
        self.open += 1
        asked = Asked(stream, self.connections)
        try:
            async with stream:
                async for request in _requests(asked):
                    self.visits.append(Visit(asked.number, request))
                    await self.serve(asked)
                    await asked.body()
        except (EOFError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            # The router left in the middle of it, or the test closed it.
            pass
        finally:
            self.open -= 1


async def _requests(asked: Asked) -> AsyncIterator[Message]:
    while True:
        try:
            await asked.idle()
            asked.request = await asked.head()
        except EOFError:
            return
        asked.unread = True
        yield asked.request


# -- what instances may do


async def echo(asked: Asked) -> None:
    """Calls are answered with their params, everything else with the line of the request and its body."""
    body = await asked.body()
    if asked.request["content-type"] != "application/json":
        await asked.respond(200, asked.request.line.rpartition(" ")[0].encode() + b"\n" + body)
        return
    call = json.loads(body)
    if "id" in call:
        await asked.respond(200, result(call, call["params"]))
    else:
        await asked.respond(204)


def result(call: dict[str, Any], value: Any) -> bytes:
    """The answer to a call, in the fewest bytes."""
    answer = {"jsonrpc": "2.0", "id": call["id"], "result": value}
    return json.dumps(answer, separators=(",", ":")).encode()


def says(status: int, body: bytes | str = b"", *fields: str) -> Serve:
    """The same answer to everything."""

    async def serve(asked: Asked) -> None:
        await asked.body()
        await asked.respond(status, body, *fields)

    return serve


def sends(raw: bytes, *, then_close: bool = False) -> Serve:
    """These bytes, whatever they are."""

    async def serve(asked: Asked) -> None:
        await asked.body()
        await asked.send(raw)
        if then_close:
            await asked.close()

    return serve


class Held:
    """Answers like `then`, but each request only once it is released."""

    def __init__(self, then: Serve = echo) -> None:
        self._then = then
        self._gates: list[anyio.Event] = []

    async def __call__(self, asked: Asked) -> None:
        gate = anyio.Event()
        self._gates.append(gate)
        await gate.wait()
        await self._then(asked)

    @property
    def waiting(self) -> int:
        return sum(not gate.is_set() for gate in self._gates)

    def release(self) -> None:
        """Lets everything go that waits now."""
        for gate in self._gates:
            gate.set()
