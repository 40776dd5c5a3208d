"""Follows the services' records of one database: what they are now, and how far that is.

While there is more here than was told (a node was away), nothing is told until it has caught up: what was
true on the way is not true any more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from hyper.port import Forked, HyperError, Listing, Position, Record
from manifests.documents.record import SERVICES
from manifests.model.snapshot import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from hyper.port import Changes, Database, Event, Hyper, RecordPath

AWAY, UNREADABLE, FORKED = "Away", "Unreadable", "LogForked"

#: Seconds between two attempts to open the database; doubled up to the last.
AGAIN, SELDOM = 0.05, 2.0
#: A daemon that does not answer for so long is told of.
PATIENCE = 10.0
#: Seconds between two questions how far the database and its peers are, and how long one may take.
ASK, ANSWER = 5.0, 2.0
#: When so long nothing more comes, it has caught up, whatever it was told to expect.
QUIET = 0.1


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source has come. `applied` is None until the database, or what was kept of it, was read.

    `database` is what the daemon said last (known, version, peers, synced, conflict); None before its first
    answer. `forked`: its log was, and it is followed no further.
    """

    applied: Position | None = None
    database: Database | None = None
    forked: bool = False

    @property
    def lag(self) -> int:
        """Blocks that are known to be there and were not applied."""
        known = self.database.known if self.database else 0
        return max(0, known - (self.applied.version if self.applied else 0))


@dataclass(frozen=True, slots=True)
class Delta:
    """These records are not what they were; `everything`: others may differ too, or the database does."""

    paths: frozenset[RecordPath]
    position: Position
    everything: bool = False


class Following:
    """`actual` are the database's records at `position`. `told` gets each delta, one after the other.

    `changed` is called when `problem` is another, `met` when a peer came.
    """

    def __init__(
        self,
        hyper: Hyper,
        database: Callable[[], Awaitable[Database]],
        deliver_to: Callable[[Delta], Awaitable[None]],
        changed: Callable[[], None],
        met: Callable[[], None],
    ) -> None:
        self.actual: dict[RecordPath, Record] = {}
        self.db_id = ""
        self.position: Position | None = None
        self.state = SourceState()
        self.problem: Problem | None = None
        self._hyper = hyper
        self._database = database
        self._deliver_to = deliver_to
        self._changed = changed
        self._met = met
        self._undelivered: set[RecordPath] = set()
        self._everything = False
        self._expected = 0
        self._last_event = 0.0
        self._delivering = anyio.Lock()

    def resume(self, db_id: str, position: Position | None, records: dict[RecordPath, Record]) -> None:
        """Goes on where an earlier life was."""
        self.db_id, self.position, self.actual = db_id, position, records
        self.state = replace(self.state, applied=position)

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_again_and_again)
            tasks.start_soon(self._deliver_when_quiet)
            await self._follow()

    async def ask(self) -> None:
        """How far the database is now. Keeps the last answer while there is none."""
        before = self.state.database
        if before is None:
            return
        try:
            with anyio.move_on_after(ANSWER):
                now = await self._hyper.info(self.db_id)
                self.state = replace(self.state, database=now)
                if now.peers > before.peers:
                    self._met()
                await self._pass_by(now)
        except HyperError:
            self.state = replace(self.state, database=replace(before, peers=0))

    # -- inside

    async def _follow(self) -> None:
        pause, since = AGAIN, anyio.current_time()
        while True:
            try:
                await self._open()
                async with _events(self._hyper, self.db_id, self.position) as events:
                    async for event in events:
                        await self._hear(event)
                        pause, since = AGAIN, anyio.current_time()
            except HyperError as error:
                if error.code != "AWAY" or anyio.current_time() - since >= PATIENCE:
                    self._set_problem(_trouble(error))
            await anyio.sleep(pause)
            pause = min(2 * pause, SELDOM)

    async def _open(self) -> None:
        database = await self._database()
        if database.db_id != self.db_id:
            # What was kept is of another database; it holds until this one was read.
            self.db_id, self.position = database.db_id, None
        self._expected = database.version
        self.state = replace(self.state, database=database)
        if self.problem is not None and self.problem.reason == AWAY:
            self._set_problem(None)

    async def _hear(self, event: Event) -> None:
        if isinstance(event, Forked):
            self.state = replace(self.state, forked=True)
            self._set_problem(_FORK)
            return
        if isinstance(event, Listing):
            self.actual = {record.path: record for record in event.records}
            self._everything = True
        else:
            self._change(event)
        self.position = event.position
        self._last_event = anyio.current_time()
        if self._everything or event.position.version >= self._expected:
            await self._deliver()

    def _change(self, event: Changes) -> None:
        for change in event.changes:
            self._undelivered.add(change.path)
            if change.deleted:
                self.actual.pop(change.path, None)
            else:
                self.actual[change.path] = Record(change.path, change.seq, change.value)

    async def _deliver(self) -> None:
        async with self._delivering:
            position = self.position
            if position is None or not (self._undelivered or self._everything):
                return
            delta = Delta(frozenset(self._undelivered), position, self._everything)
            self._undelivered, self._everything = set(), False
            self.state = replace(self.state, applied=position, forked=False)
            self.problem = None
            await self._deliver_to(delta)

    async def _deliver_when_quiet(self) -> None:
        while True:
            await anyio.sleep(QUIET if self._undelivered else ASK)
            if self._undelivered and anyio.current_time() - self._last_event >= QUIET:
                await self._deliver()

    async def _ask_again_and_again(self) -> None:
        while True:
            await anyio.sleep(ASK)
            await self.ask()

    async def _pass_by(self, now: Database) -> None:
        """Blocks that are no services' need no telling to be behind us."""
        applied = self.state.applied
        if applied is None or self._undelivered or applied.fork != now.fork or applied.version >= now.version:
            return
        missed = await self._hyper.history(
            self.db_id, since=applied.version, until=now.version, prefix=SERVICES, limit=1
        )
        if not missed and self.state.applied == applied:
            self.state = replace(self.state, applied=now.position)

    def _set_problem(self, problem: Problem | None) -> None:
        if problem != self.problem:
            self.problem = problem
            self._changed()


@asynccontextmanager
async def _events(hyper: Hyper, db_id: str, since: Position | None) -> AsyncIterator[AsyncIterator[Event]]:
    """The watch of all services, closed whatever happens to who listens."""
    events = hyper.watch(db_id, SERVICES, since)
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


_FORK = Problem(
    "the log of the database was forked: its key was used to write in two places",
    hint="its services stay as they were; repair the database on the node that writes it",
    reason=FORKED,
)


def _trouble(error: HyperError) -> Problem:
    if error.code == "AWAY":
        hint = "services stay as they were; see the status of core.hyper, and `atek doctor`"
        return Problem("the Hypercore daemon cannot be reached", hint=hint, reason=AWAY)
    message = f"the database cannot be read: {error.message}"
    return Problem(message, hint=error.hint or "its services stay as they were", reason=UNREADABLE)
