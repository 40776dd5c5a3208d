"""The change feed of one client: a WebSocket on which it subscribes to what is written in databases.

Its messages are JSON-RPC 2.0, text or binary as its library likes; ours are text.

    subscribe(dbId, path?, {since?: {fork, version}}) → {subscription}     unsubscribe(subscription) → null

What follows a subscription is described in `subscription`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from hyper.adb.rpc import answer
from hyper.adb.rules.errors import METHOD_NOT_FOUND, RpcError, refused, translated
from hyper.adb.rules.params import Params
from hyper.adb.subscription import Subscription
from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from hyper.adb.databases import Databases
    from hyper.adb.methods import Methods
    from hyper.adb.store import Store

#: Bytes of one message of a client.
LARGEST_MESSAGE = 64 * 1024
#: Of one client at the same time.
MOST_SUBSCRIPTIONS = 100
#: Requests of one client that are not answered yet; it is read no further until some are.
MOST_WAITING = 16


class Feed(asyncio.Protocol):
    """One client. The request that asked for the WebSocket is the first that it receives.

    `lost` is called with it when it has ended.
    """

    def __init__(
        self,
        store: Store,
        databases: Databases,
        methods: Methods,
        identity: tuple[str, str],
        lost: Callable[[Feed], None],
    ) -> None:
        self._store = store
        self._databases = databases
        self._methods = methods
        self._identity = identity
        self._lost = lost
        self._protocol = ServerProtocol(max_size=LARGEST_MESSAGE)
        self._pieces: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[int, asyncio.Task[None]] = {}
        self._last = 0
        self._waiting = 0
        self._transport: asyncio.Transport
        self._may_write = asyncio.Event()
        self._may_write.set()

    def end(self) -> None:
        """The service goes away."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1001)
        self._flush()
        self._transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._take_events()

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._take_events()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._may_write.set()
        for task in self._tasks:
            task.cancel()
        self._lost(self)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # -- messages

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame):
                self._take_frame(event)
        self._flush()

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._pieces.append(bytes(frame.data))
            if frame.fin:
                message, self._pieces = b"".join(self._pieces), []
                self._start(self._respond(message))

    async def _respond(self, message: bytes) -> None:
        self._wait(1)
        try:
            told = await answer(message, self._call)
            if told:
                await self._send(told)
        finally:
            self._wait(-1)

    def _wait(self, more: int) -> None:
        self._waiting += more
        if self._waiting > MOST_WAITING:
            self._transport.pause_reading()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    async def _send(self, message: bytes) -> None:
        """Returns when there is room for the next."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(message)
            self._flush()
            await self._may_write.wait()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if not data:
                self._transport.close()
            elif not self._transport.is_closing():
                self._transport.write(data)

    # -- methods

    async def _call(self, name: str, given: Any) -> object:
        params = Params(given)
        try:
            if name == "subscribe":
                return await self._subscribe(params)
            if name == "unsubscribe":
                self._unsubscribe(params.number(0))
                return None
        except HyperError as error:
            raise translated(error) from error
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")

    async def _subscribe(self, params: Params) -> object:
        name, prefix, since = params.text(0), params.optional_prefix(1), params.since(2)
        if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise refused(f"More than {MOST_SUBSCRIPTIONS} subscriptions on one connection")
        db_id = await self._allowed(name)
        await self._store.open(db_id)
        self._last += 1
        subscription = Subscription(self._last, db_id, prefix, since)
        # It begins once the answer is on its way: that is what names it.
        self._subscriptions[self._last] = self._start(self._run(subscription))
        return {"subscription": self._last}

    def _unsubscribe(self, number: int) -> None:
        task = self._subscriptions.pop(number, None)
        if task is not None:
            task.cancel()

    async def _run(self, subscription: Subscription) -> None:
        try:
            db_id = subscription.db_id
            await subscription.run(self._store.hyper, self._send, lambda: self._allowed(db_id))
        finally:
            self._subscriptions.pop(subscription.number, None)

    async def _allowed(self, name: str) -> str:
        """Asked again for all that is sent: what was public may be no more."""
        return await self._databases.readable(self._methods.caller(*self._identity), name)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
