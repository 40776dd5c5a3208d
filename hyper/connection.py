"""One connection to the daemon for requests: many in flight, answered in any order.

Requests of one turn leave in one write. When the connection ends, whatever was asked and is not answered
fails with AWAY: nobody knows whether it was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import orjson

from hyper.encoding.wire import Lines, request_line, result_of
from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import ByteStream

_CHUNK = 256 * 1024


def away() -> HyperError:
    """The daemon cannot be reached, or ended before it answered."""
    return HyperError("AWAY", "the Hypercore daemon is not there", hint="`atek status core.hyper` says why")


class _Pending:
    """An answer that is waited for."""

    __slots__ = ("answer", "arrived")

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.answer: Any = None


class Connection:
    """Lives for as long as `run` does."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._pending: dict[int, _Pending] = {}
        self._number = 0
        self._outbox: list[bytes] = []
        self._more = anyio.Event()
        self.open = True

    async def run(self) -> None:
        """Returns when the daemon ends the connection; cancelled, it ends it."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                await self._read()
                tasks.cancel_scope.cancel()
        finally:
            self.open = False
            for pending in self._pending.values():
                pending.arrived.set()
            await anyio.aclose_forcefully(self._stream)

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """The method's result. Raises HyperError."""
        if not self.open:
            raise away()
        self._number = number = self._number + 1
        line = request_line(number, method, params)
        pending = self._pending[number] = _Pending()
        self._outbox.append(line)
        self._more.set()
        try:
            await pending.arrived.wait()
        finally:
            del self._pending[number]
        if pending.answer is None:
            raise away()
        return result_of(pending.answer)

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            self._more = anyio.Event()
            data, self._outbox = b"".join(self._outbox), []
            try:
                await self._stream.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async def _read(self) -> None:
        lines = Lines()
        try:
            while True:
                for line in lines.feed(await self._stream.receive(_CHUNK)):
                    self._take(orjson.loads(line))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        except (HyperError, orjson.JSONDecodeError, AttributeError):
            # It does not speak our language: a connection of which nothing can be known is no use.
            return

    def _take(self, message: Any) -> None:
        """What answers no request is left out: watches have connections of their own."""
        if (pending := self._pending.get(message.get("id"))) is not None:
            pending.answer = message
            pending.arrived.set()
