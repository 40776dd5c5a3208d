"""Manifests from the records of a Hypercore database: this node's own, or another node's that it follows.

What cannot be run as it was written is told by problems that name the service and a reason: BrokenRecord (it
is no service), PolicyForbids (the follow does not allow it), Fetching and FetchFailed (its package is not
here yet; it is tried for ever), or what `packages.resolve` says of its package. Until then the service stays
what it last was. Problems of the whole source have a reason and no service: LogForked, AllowEmpty, Damaged,
Away, Unreadable; then all services stay as they were.

A source that nothing was ever kept of is known, and empty: no service of it can be running. One whose last
good state is damaged is not known until the database was read, because what it lacks may well be running.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread

from manifests.model.snapshot import Problem, Snapshot
from manifests.sources.entries import Entries
from manifests.sources.fetching import Fetcher
from manifests.sources.following import Following, SourceState
from manifests.sources.journal import Journal, Kept
from manifests.sources.judging import Judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hyper.port import Database, Drive, Hyper, Position, RecordPath
    from manifests.documents.record import Recorded
    from manifests.model.nodes import Place
    from manifests.model.policy import Policy
    from manifests.model.snapshot import SourceKind
    from manifests.sources.drives import DriveCache
    from manifests.sources.entries import Entry
    from manifests.sources.following import Delta
    from manifests.sources.journal import Line

__all__ = ["RecordSource", "SourceState"]

FETCHING, FETCH_FAILED, EMPTY = "Fetching", "FetchFailed", "AllowEmpty"

#: Seconds between two attempts to write the journal.
KEEP_AGAIN = 30.0
#: Failures that come close together are told together, so many seconds after the first.
GATHER = 0.2
#: So many records are looked at before others have their turn; more are written to the disk in a thread.
TURN = 200
#: A database cannot fill anybody's memory and screen with what is wrong in it.
MOST_PROBLEMS = 1000


class RecordSource:
    """Implements `manifests.model.snapshot.Source`.

    `database` makes or opens the database (`lambda: hyper.create("records")`, `lambda: hyper.open(key)`); it
    is called until it answers. `folder` is where the last good state is kept (`state/snapshots`). `policy`
    None: the node's own database, which may use local folders (`base` is where relative ones start).
    """

    def __init__(
        self,
        hyper: Hyper,
        database: Callable[[], Awaitable[Database]],
        name: str,
        kind: SourceKind,
        *,
        place: Place,
        drives: DriveCache,
        folder: Path,
        policy: Policy | None = None,
        base: str = "/",
    ) -> None:
        self._name = name
        self._kind = kind
        self._drives = drives
        self._judge = Judge(name, place, drives, policy)
        self._entries = Entries(base)
        self._journal = Journal(folder, name)
        self._following = Following(hyper, database, self._take, self._publish_soon, self._hurry)
        self._fetcher = Fetcher(drives, self._hear_of)
        self._failures: dict[Drive, str] = {}
        self._arrived: set[Drive] = set()
        self._judge_all = False
        self._to_judge, self._to_publish = anyio.Event(), anyio.Event()
        # The services stay, although the database has none any more.
        self._held = False
        self._kept_position: Position | None = None
        self._loaded = False
        self._known = False
        self._lock = anyio.Lock()
        self._changed: Callable[[], None] = lambda: None
        self._recorded: Mapping[str, Recorded] = {}
        self._snapshot = Snapshot(name, kind, known=False)
        drives.claim(name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def snapshot(self) -> Snapshot:
        """See `Source`. Unchanged records keep the very same `Declared`; their file is `<source>:<id>`."""
        return self._snapshot

    @property
    def policy(self) -> Policy | None:
        """What its services may; None of this node's own."""
        return self._judge.policy

    @property
    def state(self) -> SourceState:
        return self._following.state

    @property
    def recorded(self) -> Mapping[str, Recorded]:
        """Service id → the record that is declared: its key, its owner, who wrote it."""
        return self._recorded

    def set_policy(self, policy: Policy) -> None:
        """Judges everything again. Only while it is watched does anybody hear of what changes."""
        self._judge_anew(replace(self._judge, policy=policy))

    def set_place(self, place: Place) -> None:
        """The node has another name, or other labels; as `set_policy`."""
        self._judge_anew(replace(self._judge, place=place))

    def accept_empty(self) -> None:
        """A person says that it is right that all services are gone; as `set_policy`."""
        self._held = False
        self._judge_anew(self._judge)

    def forget(self) -> None:
        """Deletes what was kept on the disk, and lets go of its packages: the source is no more."""
        self._journal.remove()
        self._drives.release(self._name)

    async def scan(self) -> None:
        """See `Source`. The first time it reads what was kept on the disk, and waits for no daemon."""
        async with self._lock:
            if not self._loaded:
                await self._load()
            elif missing := self._missing():
                await self._judge_again(missing)
                self._publish()
        await self._following.ask()

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `Source`."""
        self._changed = changed
        try:
            await self.scan()
            async with anyio.create_task_group() as tasks:
                for each in (
                    self._fetcher.run,
                    self._keep_again,
                    self._judge_when_due,
                    self._publish_when_due,
                ):
                    tasks.start_soon(each)
                await self._following.run()
        finally:
            self._changed = lambda: None

    # -- the disk

    async def _load(self) -> None:
        kept = self._journal.load()
        if kept is None:
            kept = Kept()
            self._journal.append((), "", None)
        self._kept_position = kept.position
        self._following.resume(kept.db_id, kept.position, dict(kept.newest))
        for number, (path, newest) in enumerate(kept.newest.items(), 1):
            self._entries.restore(newest, kept.good.get(path), self._judge)
            await _let_others(number)
        self._loaded, self._known = True, kept.whole
        self._publish()

    async def _keep(self, lines: Sequence[Line]) -> None:
        """Before anybody hears of it."""
        bulky = self._journal.is_bulky(len(self._entries.by_path)) or self._journal.problems
        if bulky or not self._journal.append(lines, self._following.db_id, self._kept_position):
            await self._rewrite()

    async def _rewrite(self) -> None:
        entries = self._entries.by_path
        good = {path: entry.good for path, entry in entries.items() if entry.good is not None}
        newest = {path: entry.newest for path, entry in entries.items()}
        kept = Kept(self._following.db_id, self._kept_position, newest, good)
        if len(entries) > TURN:
            await anyio.to_thread.run_sync(self._journal.rewrite, kept)
        else:
            self._journal.rewrite(kept)

    async def _keep_again(self) -> None:
        while True:
            await anyio.sleep(KEEP_AGAIN)
            if self._journal.failing:
                async with self._lock:
                    await self._rewrite()
                    self._publish()

    # -- the database

    async def _take(self, delta: Delta) -> None:
        async with self._lock:
            was_held, self._held = self._held, self._must_hold(delta)
            if not self._held:
                self._kept_position = delta.position
                if delta.everything or was_held or not self._known:
                    await self._take_all()
                else:
                    await self._take_some(delta.paths)
            self._known = True
            self._publish()

    def _must_hold(self, delta: Delta) -> bool:
        """Whether the services stay although the database has none any more.

        Whoever deletes the last record means it, and its history says so. A database that was read anew and
        has nothing (it lost all, or its log was forked or cut) is another thing until it has some again.
        """
        if self._following.actual or not self._entries.has_services:
            return False
        policy = self._judge.policy
        if policy is None:
            return delta.everything
        return (delta.everything or self._held) and not policy.allow_empty

    async def _take_all(self) -> None:
        """The entries become what the database has."""
        actual = dict(self._following.actual)
        for path in self._entries.by_path.keys() - actual.keys():
            self._entries.remove(path)
        for number, (path, record) in enumerate(actual.items(), 1):
            before = self._entries.by_path.get(path)
            if before is None or before.newest != record:
                self._entries.put(record, self._judge)
            await _let_others(number)
        await self._rewrite()

    async def _take_some(self, paths: Iterable[RecordPath]) -> None:
        lines = []
        for number, path in enumerate(sorted(paths), 1):
            record = self._following.actual.get(path)
            put = self._entries.put
            lines.append(self._entries.remove(path) if record is None else put(record, self._judge))
            await _let_others(number)
        await self._keep(lines)

    # -- what changes besides

    def _hurry(self) -> None:
        self._fetcher.hurry()

    def _hear_of(self, drive: Drive, why: str) -> None:
        if why:
            self._failures[drive] = why
            self._publish_soon()
        else:
            self._failures.pop(drive, None)
            self._arrived.add(drive)
            self._to_judge.set()

    def _judge_anew(self, judge: Judge) -> None:
        self._judge, self._judge_all = judge, True
        self._to_judge.set()

    async def _judge_when_due(self) -> None:
        while True:
            await self._to_judge.wait()
            self._to_judge = anyio.Event()
            async with self._lock:
                arrived, self._arrived = self._arrived, set()
                everything, self._judge_all = self._judge_all, False
                if everything:
                    await self._let_go()
                paths = self._entries.by_path if everything else self._entries.waiting(arrived)
                await self._judge_again(list(paths))
                self._publish()

    async def _let_go(self) -> None:
        """Takes it that the database is empty, once that is allowed."""
        policy = self._judge.policy
        self._held = self._held and not (policy and policy.allow_empty)
        if self._known and not self._held and not self._following.actual:
            self._kept_position = self._following.position
            await self._take_all()

    async def _judge_again(self, paths: Iterable[RecordPath]) -> None:
        lines = []
        for number, path in enumerate(paths, 1):
            if (line := self._entries.judge_again(path, self._judge)) is not None:
                lines.append(line)
            await _let_others(number)
        if lines:
            await self._keep(lines)

    def _publish_soon(self) -> None:
        self._to_publish.set()

    async def _publish_when_due(self) -> None:
        while True:
            await self._to_publish.wait()
            await anyio.sleep(GATHER)
            self._to_publish = anyio.Event()
            async with self._lock:
                self._publish()

    def _missing(self) -> list[RecordPath]:
        """Whose package was here and is not any more."""
        return [
            path
            for path, entry in self._entries.by_path.items()
            if entry.recorded and entry.recorded.drive and self._drives.find(entry.recorded.drive) is None
        ]

    # -- what to say

    def _publish(self) -> None:
        """Makes the snapshot anew, and says so."""
        entries = list(self._entries.in_order())
        position = self._following.state.applied
        self._snapshot = Snapshot(
            self._name,
            self._kind,
            f"{position.fork}.{position.version}" if position else "",
            tuple(entry.declared for entry in entries if entry.declared),
            self._problems(entries),
            self._known,
        )
        self._recorded = {entry.recorded.id: entry.recorded for entry in reversed(entries) if entry.recorded}
        self._fetcher.want(self._entries.waits_for)
        if self._known:
            self._drives.need(self._name, self._entries.drives())
        self._changed()

    def _problems(self, entries: Iterable[Entry]) -> tuple[Problem, ...]:
        problems = [*self._problems_of_all(), *self._problems_of_each(entries)]
        if (more := len(problems) - MOST_PROBLEMS) > 0:
            problems[MOST_PROBLEMS:] = [Problem(f"there are {more} more problems", self._name)]
        return tuple(problems)

    def _problems_of_all(self) -> Iterator[Problem]:
        if self._following.problem is not None:
            yield replace(self._following.problem, file=self._name)
        if self._held:
            hint = "they stay as they were until it has one again, or until it is allowed to be empty"
            yield Problem("the database has no services any more", self._name, hint=hint, reason=EMPTY)
        yield from self._journal.problems

    def _problems_of_each(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        for entry in entries:
            if entry.judgement.problem is not None:
                yield entry.judgement.problem
            elif entry.judgement.waits_for is not None and entry.judgement.recorded is not None:
                yield self._fetching(entry.judgement.recorded, entry.judgement.waits_for)

    def _fetching(self, recorded: Recorded, drive: Drive) -> Problem:
        what = f"version {drive.version} of drive {drive.key[:8]}…"
        file, service = f"{self._name}:{recorded.id}", recorded.id
        if (why := self._failures.get(drive)) is not None:
            message, hint = f"its package, {what}, cannot be fetched: {why}", "it is tried again and again"
            return Problem(message, file, hint=hint, service=service, reason=FETCH_FAILED)
        again = ", which was damaged here," if self._drives.was_damaged(drive) else ""
        message = f"its package, {what},{again} is being fetched"
        return Problem(message, file, service=service, reason=FETCHING)


async def _let_others(number: int) -> None:
    """After every so many records, whoever else has something to do does it."""
    if number % TURN == 0:
        await anyio.lowlevel.checkpoint()
