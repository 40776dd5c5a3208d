"""One Git source: what its ref is now, as manifests of this node, as long as the node runs.

    interval, `atek sync`, a hook ─► look ─► new? ─► fetch ─► verify ─► lay out ─► read ─► apply, or hold
    an event of its services ─► settling? ─► ready, or failed and taken back

The network is only ever asked by `watch`. What was applied last is laid out on this machine's disk, so a node
boots without any server. Whatever is decided is in `decide`; it is on disk before anybody hears of it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.model.snapshot import Problem, Snapshot
from reconciler.decide.internal_error import internal_error
from reconciler.drive.status import plain
from reconciler.gitops.copies import mounted
from reconciler.gitops.decide import (
    Applied,
    Kept,
    Trouble,
    apply,
    before_of,
    commits,
    conditions_of,
    elsewhere,
    fare,
    hold,
    is_new,
    objection,
    revert,
)  # fmt: skip
from reconciler.gitops.obtaining import OF_THE_COMMIT, applied_of, obtain, propose, rewriting, seen_of
from reconciler.gitops.port import Counts
from reconciler.gitops.reading import Reading, read_folder, same
from reconciler.gitops.report import report
from reconciler.gitops.superseding import newest, unless_newer
from reconciler.gitops.troubles import PASSING, GitTrouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from manifests.model.nodes import Place
    from manifests.model.snapshot import Declared
    from reconciler.decide.conditions import Condition
    from reconciler.drive.events import EventLog
    from reconciler.gitops.decide import Fare
    from reconciler.gitops.kept import KeptFile
    from reconciler.gitops.listing import Seen
    from reconciler.gitops.obtaining import Obtained, Proposal
    from reconciler.gitops.repository import Repository

#: Of an interval, how much it is longer or shorter by chance: many nodes do not ask a server at once.
JITTER = 0.1
#: Seconds between hearing of a service and looking at it.
TOGETHER = 0.1
#: Seconds after which a fetch takes so long that one asks what it is of.
SOON = 1.0


class GitManifests:
    """Implements `manifests.model.snapshot.Source`.

    `entry`: what status says of a service, if there is one. `in_use`: folders of packages that are needed.
    """

    def __init__(
        self,
        source: GitSource,
        repository: Repository,
        file: KeptFile,
        place: Place,
        events: EventLog,
        *,
        entry: Callable[[str], dict[str, Any] | None],
        in_use: Callable[[], set[str]],
        jitter: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self._repository = repository
        self._file = file
        self._place = place
        self._events = events
        self._entry = entry
        self._in_use = in_use
        self._jitter = jitter
        self._wall = wall
        self._path = source.folder(place.name)
        self._origin = f"{source.url} {self._path}"
        self._kept = Kept(origin=self._origin)
        self._fares: Fare | None = None
        self._trouble: Trouble | None = None
        self._busy = False
        #: A person asked: what was held is tried again.
        self._again = False
        self._begun = self._done = 0
        self._loaded = False
        self._looked: float | None = None
        self._snapshot = Snapshot(source.name, "git", known=False)
        self._rung = anyio.Event()
        self._heard = anyio.Event()
        self._advanced = anyio.Event()
        self._untidy = anyio.Event()
        #: Commits of which nothing is kept yet: the one that is being had, and the one that a person wanted
        #: to see last, whose folder is read a moment later.
        self._under_way: frozenset[str] = frozenset()
        self._looked_at: frozenset[str] = frozenset()
        self._since: dict[str, tuple[str, float]] = {}
        self.counts = Counts()

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def snapshot(self) -> Snapshot:
        """See `Source`. What is wrong with a commit that is not applied is told by `status`."""
        return self._snapshot

    async def scan(self) -> None:
        """See `Source`. Reads what is on the disk, the first time; asks no server."""
        if not self._loaded:
            kept = self._file.read()
            # Of another repository nothing is known here; what it declared stays until this one is read.
            self._kept = kept if kept.origin == self._origin else Kept(origin=self._origin)
            self._loaded = True
            await self._restore()

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `Source`."""
        await self.scan()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow_services, changed)
            tasks.start_soon(self._tidy)
            at_once = False
            while True:
                # Whoever rings from now on asks for one more look.
                rung = self._rung
                if not self.source.suspend:
                    await self.poll(changed, at_once=at_once)
                with anyio.move_on_after(self.source.interval * (1 + JITTER * (2 * self._jitter() - 1))):
                    await rung.wait()
                at_once = rung.is_set()

    def ring(self) -> None:
        """Somebody says that there is something new."""
        self._rung.set()
        self._rung = anyio.Event()

    def hear(self) -> None:
        """Something about some service is new."""
        if self._kept.settling is not None:
            self._heard.set()
            self._heard = anyio.Event()

    async def sync(self) -> None:
        """Looks now, also at a commit that was held; returns once that has been done."""
        wanted = self._begun + 1
        self._again = True
        self.ring()
        while self._done < wanted:
            await self._advanced.wait()

    async def propose(self, ref: str) -> Proposal:
        """A commit as it would be applied; its folder is there until the next one. Raises GitTrouble."""
        seen = await seen_of(self._repository, self.source, ref)
        before, self._looked_at = self._looked_at, frozenset({seen.commit})
        if before - self._looked_at:
            self._untidy.set()
        since = self._kept.applied.commit if self._kept.applied else None
        return await propose(self._repository, self.source, self._path, seen, since)

    def status(self) -> dict[str, Any]:
        """What `status` says about it beside what it says about all sources."""
        conditions = conditions_of(self.source, self._kept, self._trouble, self._fares, busy=self._busy)
        return report(self.source, self._path, self._kept, self._looked) | {
            "conditions": [plain(each, self._since_when(each)) for each in conditions]
        }

    def _since_when(self, condition: Condition) -> float:
        known = self._since.get(condition.type)
        if known is None or known[0] != condition.status:
            known = self._since[condition.type] = condition.status, self._wall()
        return known[1]

    # -- looking

    async def poll(self, changed: Callable[[], None], *, at_once: bool = False) -> None:
        """One look, and all that follows from it. `at_once`: somebody says that there is something new."""
        self._begun += 1
        if self._again:
            self._again, self._kept = False, replace(self._kept, held=None, staying=())
        try:
            seen = await self._see(at_once=at_once)
            if is_new(self._kept, seen.commit):
                self._busy = True
                self._tell()
                await self._attempt(seen, changed)
            self._set_trouble(None)
        except GitTrouble as trouble:
            passing = trouble.reason in PASSING
            self._set_trouble(Trouble(trouble.reason, str(trouble), passing))
        except OSError as error:
            message = f"{error.filename or 'the disk'}: {error.strerror or error}"
            self._set_trouble(Trouble("DiskFailed", message, passing=True))
        except Exception as error:
            verdict = internal_error(error)
            self._set_trouble(Trouble(verdict.reason, verdict.message))
        finally:
            self._busy, self._looked, self._done = False, self._wall(), self._begun
            # What was told of services meanwhile was not looked at.
            self.hear()
            self._tell()

    async def _see(self, *, at_once: bool) -> Seen:
        """What the ref is now. Where somebody rang it is most likely new, and the same git fetches it."""
        ref = self.source.ref
        fetch_now = partial(self._repository.fetch_now, ref, self._path)
        if at_once and (seen := await unless_newer(fetch_now, self._news)) is not None:
            return seen
        # Other sources of the repository have looked just as well.
        return await self._repository.look(ref, max_age=0.0 if at_once else self.source.interval / 2)

    async def _news(self, known: str) -> Seen:
        """What the ref is once somebody rang, or it is time to look again."""
        rung = self._rung
        with anyio.move_on_after(self.source.interval if known else SOON):
            await rung.wait()
        return await self._repository.look_beside(self.source.ref)

    async def _attempt(self, seen: Seen, changed: Callable[[], None]) -> None:
        """Raises GitTrouble for what has nothing to do with the commit itself, or OSError."""
        seen, found = await newest(self._obtain, seen, self._news, self._emit)
        if not is_new(self._kept, seen.commit):
            return
        if isinstance(found, GitTrouble):
            await self._hold(seen, found.reason, str(found))
            return
        reading = await self._read(found.folder)
        services = tuple(each.manifest.id for each in reading.services)
        if why := objection(self.source, self._kept, reading.problems, services):
            await self._hold(seen, *why)
            return
        applied = applied_of(seen, found, self._wall(), services)
        last = self._kept.applied
        concerned = {*services, *(last.services if last else ())}
        before = {each: before_of(self._entry(each)) for each in concerned}
        await self._become(apply(self.source, self._kept, applied, before))
        self.counts.applied += 1
        self._emit("CommitApplied", f"{applied.ref} of {applied.author}: {applied.subject}")
        await self._show(reading)
        changed()
        # It is applied: how its services fare need not wait for what is only told.
        self._busy = False
        self.hear()
        if last is not None and (told := await rewriting(self._repository, seen, last)) is not None:
            self._emit(*told, warning=True)

    async def _obtain(self, seen: Seen) -> Obtained | GitTrouble:
        """Or what is wrong with the commit itself. Raises GitTrouble for other reasons, or OSError."""
        since = self._kept.applied.commit if self._kept.applied else None
        self._under_way = frozenset({seen.commit})
        self._repository.want(self._wanted())
        try:
            return await obtain(self._repository, self.source, self._path, seen, since)
        except GitTrouble as trouble:
            if trouble.reason not in OF_THE_COMMIT:
                raise
            return trouble

    async def _hold(self, seen: Seen, reason: str, message: str) -> None:
        await self._become(hold(self._kept, seen.commit, seen.shown, reason, message, self._wall()))
        self.counts.held += 1
        self._emit("CommitHeld", f"{seen.shown}: {reason}: {message}", warning=True)

    async def _read(self, folder: Path) -> Reading:
        def read() -> Reading:
            trees, ids = self._repository.trees, self._repository.ids
            return read_folder(str(folder), self.source, self._place, trees=trees, ids=ids)

        reading = await anyio.to_thread.run_sync(read)
        self._under_way |= self._repository.commits_of(str(each.place) for each in reading.copies)
        self._repository.want(self._wanted())
        await self._repository.copy(reading.copies)
        return reading

    # -- how the services fare

    async def _follow_services(self, changed: Callable[[], None]) -> None:
        while True:
            kept, heard = self._kept, self._heard
            if kept.settling is not None and kept.applied is not None and not self._busy:
                await self._look_at_services(kept.applied, changed)
            await heard.wait()
            await anyio.sleep(TOGETHER)

    async def _look_at_services(self, applied: Applied, changed: Callable[[], None]) -> None:
        kept = self._kept
        self._fares = fares = fare(kept, {each: self._entry(each) for each in applied.services})
        if fares.ready:
            self._fares = None
            await self._become(replace(kept, settling=None, previous=None))
            self._emit("CommitReady", f"{applied.ref}: its services are ready")
            self._untidy.set()
        elif fares.failed and self.source.on_failure == "revert" and kept.previous is not None:
            reverted = revert(kept, fares.failed, fares.why, fares.staying, self._wall())
            self._fares = None
            await self._become(reverted)
            self.counts.reverted += 1
            assert reverted.held is not None
            self._emit("CommitReverted", f"{reverted.held.ref}: {reverted.held.message}", warning=True)
            await self._restore()
            changed()
        elif kept.settling is not None and fares.ran != kept.settling.ran:
            await self._become(replace(kept, settling=replace(kept.settling, ran=fares.ran)))
        self._tell()

    # -- what is declared

    async def _restore(self) -> None:
        """What the source says by what is kept, from the disk alone."""
        kept = self._kept
        if kept.applied is None:
            return
        try:
            folder = await self._repository.checkout(kept.applied.commit, self._path)
            reading = await self._read(folder)
        except (GitTrouble, OSError) as trouble:
            # What was applied is not known any more; nobody may conclude that its services are gone.
            problem = Problem(f"{kept.applied.ref} is not on this disk any more: {trouble}", self.name)
            self._snapshot = replace(self._snapshot, problems=(problem,))
            self._kept = replace(kept, applied=None, previous=kept.previous or kept.applied)
            return
        await self._show(reading)

    async def _show(self, reading: Reading) -> None:
        """The commit's services; and others that are left, or were not taken back, as their own has them."""
        services = {each.manifest.id: each for each in reading.services}
        for service_id, commit in elsewhere(self._kept).items():
            if (other := await self._of_commit(service_id, commit)) is not None:
                services[service_id] = other
        assert self._kept.applied is not None
        before = {each.manifest.id: each for each in self._snapshot.services}
        self._snapshot = Snapshot(
            self.name,
            "git",
            self._kept.applied.ref,
            tuple(same(before.get(each), declared) for each, declared in services.items()),
        )

    async def _of_commit(self, service_id: str, commit: str) -> Declared | None:
        try:
            reading = await self._read(await self._repository.checkout(commit, self._path))
        except (GitTrouble, OSError):
            return None
        return next((each for each in reading.services if each.manifest.id == service_id), None)

    # -- inside

    async def _become(self, kept: Kept) -> None:
        """On disk before it counts, unless the disk is the trouble: then the next life finds out again."""
        try:
            await self._file.write(kept)
        except OSError as error:
            self._emit(
                "DiskFailed", f"what is applied cannot be kept: {error.strerror or error}", warning=True
            )
        self._kept = kept
        self._tell()

    async def _tidy(self) -> None:
        """Apart from everything else: a disk takes its time."""
        while True:
            await self._untidy.wait()
            self._untidy = anyio.Event()
            try:
                await self._repository.forget(self._wanted())
            except GitTrouble as trouble:
                self._emit(trouble.reason, str(trouble), warning=True)

    def _wanted(self) -> set[str]:
        in_use = self._repository.commits_of(self._in_use() | mounted(self._snapshot.services))
        return commits(self._kept) | self._under_way | self._looked_at | in_use

    def _set_trouble(self, trouble: Trouble | None) -> None:
        before, self._trouble = self._trouble, trouble
        if trouble is not None and (before is None or before.reason != trouble.reason):
            self._emit(trouble.reason, trouble.message, warning=True)

    def _emit(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.emit("", reason, f"source {self.name}: {message}", warning=warning)

    def _tell(self) -> None:
        self._advanced.set()
        self._advanced = anyio.Event()
