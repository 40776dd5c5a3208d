"""Keeps people told, as long as the node runs: one task looks at what is so, one for each address sends.

    an event, or a minute ─► look ─► outbox, on disk ─► each address: wait until due ─► send ─► outbox

Nothing here is in the loop's way: it reads the status as any client does, and an address that does not answer
keeps nobody waiting but itself.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from reconciler.notify.facts import Disk, facts_of
from reconciler.notify.outbox import Queue, address_id, due, enqueue, sent, written
from reconciler.notify.sending import NotSent, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from reconciler.decide.event import EventRecord
    from reconciler.notify.outbox import Outbox
    from reconciler.notify.store import OutboxFile
    from reconciler.port import NodeApi
    from reconciler.state.notify_settings import NotifySettings

#: Seconds between hearing of something and looking: what happens together is seen together.
TOGETHER = 0.5
#: Seconds between two looks at what nobody announces: disks, nodes that are away.
LOOK = 60.0
#: Seconds until an address that failed is tried again: doubled each time, up to the second.
AGAIN, LONGEST = 5.0, 900.0


class Send(Protocol):
    """See `Sender.send`."""

    async def __call__(self, url: str, title: str, text: str) -> None: ...


@dataclass(slots=True)
class _Address:
    settings: NotifySettings
    last_sent: float | None = None
    error: str = ""


class Notifier:
    """`name` is the node's, `disk` looks at its home's, `failed` hears of an address that takes nothing.

    `minute`: the time of day by this machine's clock.
    """

    def __init__(
        self,
        name: str,
        addresses: Sequence[NotifySettings],
        file: OutboxFile,
        send: Send,
        disk: Callable[[], Disk | None],
        failed: Callable[[str], None],
        *,
        wall: Callable[[], float] = time.time,
        minute: Callable[[], int] | None = None,
    ) -> None:
        self._name = name
        self._addresses = [_Address(each) for each in addresses]
        self._file = file
        self._send = send
        self._disk = disk
        self._failed = failed
        self._wall = wall
        self._minute = minute or minute_of_day
        self._outbox: Outbox = file.read()
        self._saved = self._outbox
        self._changed = anyio.Event()
        self._happened = anyio.Event()
        self._writing = anyio.Lock()

    async def run(self, node: NodeApi) -> None:
        """Until cancelled."""
        # Nothing that happens during the first look is missed.
        with node.events.subscribe() as events:
            async with anyio.create_task_group() as tasks:
                for address in self._addresses:
                    tasks.start_soon(self._serve, address)
                tasks.start_soon(self._listen, events)
                await self._watch(node)

    def status(self) -> list[dict[str, Any]]:
        """Of each address: where it is, what it wants, what it is owed, and how it went last."""
        return [self._status(each) for each in self._addresses]

    async def test(self) -> list[dict[str, Any]]:
        """Sends a message to each address at once, whatever it wants; like `status`, with how that went."""
        async with anyio.create_task_group() as tasks:
            for address in self._addresses:
                text = "this is what messages of this node look like"
                tasks.start_soon(self._try, address, f"{self._name}: a test", text)
        return self.status()

    def _status(self, address: _Address) -> dict[str, Any]:
        settings = address.settings
        return {
            "address": shown(settings.url),
            "on": list(settings.on),
            "services": list(settings.services),
            "digest": settings.digest,
            "quiet": settings.quiet,
            "waiting": len(self._queue(address).messages),
            "lastSent": address.last_sent,
            "error": address.error or None,
        }

    # -- what is so

    async def _watch(self, node: NodeApi) -> None:
        """However many events there were meanwhile, they are one look."""
        while True:
            happened = self._happened
            with anyio.move_on_after(await self._look(node)):
                await happened.wait()
                await anyio.sleep(TOGETHER)

    async def _listen(self, events: AsyncIterator[EventRecord]) -> None:
        async for _ in events:
            self._happened.set()
            self._happened = anyio.Event()

    async def _look(self, node: NodeApi) -> float:
        """Seconds until the next look, unless something happens."""
        now, whole = self._wall(), "" not in node.unready()
        facts = facts_of(node.status(), self._disk(), self._outbox.known, now, whole=whole)
        settings = [address.settings for address in self._addresses]
        await self._become(enqueue(self._outbox, facts, settings, now))
        return min(LOOK, max(1.0, facts.look_again - now))

    async def _become(self, outbox: Outbox) -> None:
        """What could not be written is tried again; a full disk keeps nobody from being told of it."""
        if outbox != self._outbox:
            self._outbox = outbox
            self._changed.set()
            self._changed = anyio.Event()
        async with self._writing:
            if self._outbox != self._saved:
                writing = self._outbox
                with suppress(OSError):
                    await self._file.write(writing)
                    self._saved = writing

    # -- who is told

    async def _serve(self, address: _Address) -> None:
        pause = AGAIN
        while True:
            await self._until_due(address)
            queue = self._queue(address)
            if await self._try(address, *written(queue, self._name)):
                await self._become(sent(self._outbox, address.settings, queue))
                pause = AGAIN
                continue
            if pause == AGAIN:
                self._failed(f"{shown(address.settings.url)}: {address.error}")
            await anyio.sleep(pause)
            pause = min(LONGEST, 2 * pause)

    async def _until_due(self, address: _Address) -> None:
        while (seconds := due(self._queue(address), address.settings, self._wall(), self._minute())) > 0:
            # Looked at again each minute: the clock may have been set.
            with anyio.move_on_after(min(seconds, LOOK)):
                await self._changed.wait()

    async def _try(self, address: _Address, title: str, text: str) -> bool:
        try:
            await self._send(address.settings.url, title, text)
        except NotSent as error:
            address.error = str(error)
            return False
        address.error, address.last_sent = "", self._wall()
        return True

    def _queue(self, address: _Address) -> Queue:
        return self._outbox.queues.get(address_id(address.settings), Queue())


def disk_of(home: Path) -> Disk | None:
    """How full the file system of the home is; None where nobody can say."""
    try:
        usage = shutil.disk_usage(home)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def minute_of_day() -> int:
    """By this machine's clock and zone."""
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min
