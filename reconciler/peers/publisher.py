"""Publishes the node's status to those who follow it: only what changed, and never in the loop's way.

    heard(id) ──► dirty ids ──(a moment later)──► entries now ──► what is published otherwise ──► batch

What was missed while the daemon was away is found by reading what is published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from hyper.port import HyperError
from reconciler.peers.publication import Published, gone, public_entry, published, updates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hyper.port import Hyper, Write
    from reconciler.peers.port import Host

#: Seconds between hearing of a change and looking at it: what happens together is told together.
TOGETHER = 0.02
#: A service that crashes again and again must not fill the log: so many writes at once, then a second.
BURST, RATE = 20, 2.0
#: Seconds until a daemon that did not take it is asked again.
AGAIN = 1.0
#: Seconds between two looks at everything, which repair what nobody announced.
LOOK = 60.0
_BATCH = 200


class Pace:
    """A bucket of tokens on the clock of the event loop."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._tokens, self._at = burst, anyio.current_time()

    async def wait(self) -> None:
        """Takes a token, once there is one."""
        now = anyio.current_time()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        if self._tokens < 0:
            await anyio.sleep(-self._tokens / self._rate)


class Publisher:
    """`about` is what the node says about itself, `now` the time as it is written (RFC 3339)."""

    def __init__(self, hyper: Hyper, about: Callable[[], Mapping[str, Any]], now: Callable[[], str]) -> None:
        self._hyper = hyper
        self._about = about
        self._now = now
        self._dirty: set[str] = set()
        self._wake = anyio.Event()

    def heard(self, service_id: str) -> None:
        """Something about the service may be new; "": about the node."""
        self._dirty.add(service_id)
        self._wake.set()

    async def run(self, host: Host, db_id: str) -> None:
        """Publishes into that database until cancelled."""
        pace = Pace(BURST, RATE)
        while True:
            try:
                await self._follow(host, db_id, pace)
            except HyperError:
                # Away, refused, full: what has to be written then is found by comparing.
                await anyio.sleep(AGAIN)

    async def _follow(self, host: Host, db_id: str, pace: Pace) -> None:
        before = published(await self._hyper.list(db_id))
        looked = -LOOK
        while True:
            ids = self._take() - {""}
            if anyio.current_time() - looked >= LOOK:
                looked, everything = anyio.current_time(), host.entries()
                ids = everything.keys() | gone(before, everything)
            await self._write(db_id, before, ids, host)
            with anyio.move_on_after(LOOK):
                await self._wake.wait()
                await anyio.sleep(TOGETHER)
            await pace.wait()

    def _take(self) -> set[str]:
        dirty, self._dirty, self._wake = self._dirty, set(), anyio.Event()
        return dirty

    async def _write(self, db_id: str, before: Published, ids: Iterable[str], host: Host) -> None:
        entries = {service_id: host.service(service_id) for service_id in ids}
        public = {each: entry and public_entry(entry) for each, entry in entries.items()}
        for batch in _batches(updates(before, self._about(), public, now=self._now())):
            await self._hyper.batch(db_id, batch)
            for write in batch:
                if write.deleted:
                    before.pop(write.path, None)
                else:
                    before[write.path] = write.value


def _batches(writes: Sequence[Write]) -> Iterable[Sequence[Write]]:
    return (writes[start : start + _BATCH] for start in range(0, len(writes), _BATCH))
