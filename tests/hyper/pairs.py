"""Two nodes for one contract: of fakes, and of real daemons.

What is awaited is a state, with a deadline that only an error reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from hyper.fake import FakeHyper, FakeNetwork
from hyper.port import Changes, Forked, Listing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from hyper.port import Change, Database, Event, Hyper, Record

#: Seconds; noisy machines are slow.
PATIENCE = 60.0


class Pair(Protocol):
    """`laptop` and `pi`: two stores that can be connected."""

    laptop: Hyper
    pi: Hyper

    async def connect(self) -> None: ...

    async def cut(self) -> None: ...


class FakePair:
    def __init__(self) -> None:
        self.network = FakeNetwork()
        self._laptop, self._pi = FakeHyper(self.network, "laptop"), FakeHyper(self.network, "pi")
        self.laptop: Hyper = self._laptop
        self.pi: Hyper = self._pi

    async def connect(self) -> None:
        self.network.connect(self._laptop, self._pi)

    async def cut(self) -> None:
        self.network.cut(self._laptop, self._pi)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a state that announces itself to nobody."""
    with anyio.fail_after(PATIENCE):
        while not await holds():
            await anyio.sleep(0.01)


async def until_database(hyper: Hyper, db_id: str, holds: Callable[[Database], bool]) -> Database:
    async def now() -> bool:
        return holds(await hyper.info(db_id))

    await until(now)
    return await hyper.info(db_id)


class Watched:
    """The events of a watch, one after the other."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events

    async def next(self) -> Event:
        with anyio.fail_after(PATIENCE):
            return await anext(self._events)

    async def listing(self) -> Listing:
        event = await self.next()
        assert isinstance(event, Listing), event
        return event

    async def changes(self, count: int) -> list[Change]:
        """So many, however they are spread; checks that there is no gap between two events."""
        found: list[Change] = []
        last = None
        while len(found) < count:
            event = await self.next()
            assert isinstance(event, Changes), event
            assert last is None or event.start == last.position
            found.extend(event.changes)
            last = event
        return found

    async def forked(self) -> None:
        while not isinstance(await self.next(), Forked):
            pass


def values(records: Sequence[Record]) -> dict[tuple[str, ...], object]:
    return {record.path: record.value for record in records}
