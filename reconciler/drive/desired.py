"""From sources to wishes: merges the snapshots, resolves what changed, and declares it to the loop.

A changed manifest is found by identity: an unchanged file keeps the same `Declared` object, so a change to
one of a thousand services costs one resolution. A manifest that cannot be resolved (its package is gone)
keeps the service's last resolved form and says why.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, get_args

import anyio

from manifests.model.merge import Merged
from manifests.model.nodes import runs_on
from manifests.model.snapshot import SourceKind
from manifests.packages.resolve import ResolveError, package_path, secret_paths
from reconciler.decide.admission import admit
from reconciler.decide.conditions import Condition, Verdict
from reconciler.decide.controller import Noted, Wish
from reconciler.decide.grants import OPEN
from reconciler.decide.refused import refusals
from reconciler.decide.renamed import Renames
from reconciler.drive.git_packages import NotHere, package_of
from reconciler.drive.guarded import Guarded
from reconciler.drive.internal_errors import InternalErrors
from reconciler.drive.packages import SecretPath

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from anyio.abc import TaskGroup

    from manifests.model.merge import Winner
    from manifests.model.nodes import Place
    from manifests.model.service import Service
    from manifests.model.snapshot import Problem, Snapshot, Source
    from reconciler.decide.grants import Gate
    from reconciler.decide.refused import Refusal
    from reconciler.drive.gate import GateKeeper
    from reconciler.drive.inheritance import Inheritance
    from reconciler.drive.loop import Reconciler
    from reconciler.drive.packages import PackageStore, Root

#: More sources of one kind than any node will see: ranks of the next kind begin behind them.
_PER_KIND = 10_000


class DesiredState:
    """All sources of a node, and what they wish for together."""

    def __init__(
        self,
        sources: Sequence[Source],
        packages: PackageStore,
        reconciler: Reconciler,
        place: Place,
        inheritance: Inheritance,
        gatekeeper: GateKeeper,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wall = wall
        self._place = place
        self._inheritance = inheritance
        self.gatekeeper = gatekeeper
        self.gates: dict[str, Gate] = {}
        self._renames = Renames(inheritance.is_held)
        self.sources: list[Guarded] = []
        self._ranks: dict[str, int] = {}
        self._next_rank = itertools.count()
        self._watches: dict[str, anyio.CancelScope] = {}
        self._tasks: TaskGroup | None = None
        self.loaded = False
        self.applied: dict[str, Snapshot] = {}
        self.refusals: dict[str, Refusal] = {}
        self.merged = Merged({}, {}, {}, complete=False)
        self._packages = packages
        self._reconciler = reconciler
        self._errors = InternalErrors(reconciler.events, reconciler.metrics)
        self.last_read: dict[str, float] = {}
        self._roots: dict[Root, set[str]] = {}
        self._reported: set[tuple[str, str, str]] = set()
        self._dirty = anyio.Event()
        self._again: set[str] = set()
        #: What the sources tell of single services.
        self._warned: dict[str, Problem] = {}
        self._refreshing = anyio.Lock()
        for source in sources:
            self.add_source(source)

    @property
    def local(self) -> set[str]:
        """The names of the sources that are not other nodes."""
        return {source.name for source in self.sources if source.snapshot.kind != "follow"}

    def add_source(self, source: Source) -> None:
        """One more, behind those of its kind that are there; one of the same name is replaced."""
        self._drop(source.name)
        source = Guarded(source, partial(self._errors.report, ""))
        self.sources.append(source)
        kind = get_args(SourceKind).index(source.snapshot.kind)
        self._ranks.setdefault(source.name, kind * _PER_KIND + next(self._next_rank))
        if self._tasks is not None:
            self._tasks.start_soon(self._begin, source)

    def remove_source(self, name: str) -> None:
        """Nothing is wanted any more because of it."""
        self._drop(name)
        self.last_read.pop(name, None)
        self._dirty_set()

    async def load(self) -> None:
        """Reads every source for the first time and declares everything."""
        await self._scan()
        await self.refresh()
        self.loaded = True

    async def run(self, tasks: TaskGroup) -> None:
        """Follows the sources until cancelled."""
        self._tasks = tasks
        for source in self.sources:
            tasks.start_soon(self._watch, source)
        tasks.start_soon(self._follow_packages)
        while True:
            await self._dirty.wait()
            self._dirty = anyio.Event()
            try:
                await self.refresh()
            except Exception as error:
                # What is declared stays as it is, until the next look at everything.
                self._errors.report("", error)

    def resolve_again(self, service_ids: Collection[str]) -> None:
        """The packages of these services, or a person's wish, changed."""
        self._again.update(service_ids)
        self._dirty_set()

    async def look_again(self, service_id: str) -> None:
        """Returns once the service's package was looked at as it is now, and the wish is declared."""
        self._again.add(service_id)
        await self.refresh()

    async def hand_over(self, service_id: str, source: str) -> None:
        """The source's service may have what another's left in the data folder. Raises OSError."""
        self._inheritance.hand_over(service_id, source)
        await self.refresh()

    async def resync(self) -> None:
        """Looks at everything again, whether or not an event announced a change."""
        await self._scan()
        self._again.update(
            service_id
            for service_id, winner in self.merged.services.items()
            if winner.declared.manifest.source is not None or winner.declared.manifest.secrets
        )
        self._again.update(self._renames.ids())
        await self.refresh()

    async def refresh(self) -> None:
        """Merges, resolves what differs from before, and declares it."""
        # One after another: a slow look at an older manifest must not be declared after a newer one.
        async with self._refreshing:
            before, again = self.merged, self._again
            snapshots = [only_here(source.snapshot, self._place) for source in self.sources]
            self.merged, admitted = admit(snapshots, before.services, self._inheritance.refused)
            self._again = set()
            self._warned = {
                each.service: each for told in snapshots for each in told.warnings if each.service
            }
            self._look_for_new_ids(before)
            gates, self.gates = self.gates, self.gatekeeper.judge(self.merged.services)
            changed = changes(before, self.merged) | (again & self.merged.services.keys())
            changed |= {
                each for each in gates.keys() | self.gates.keys() if gates.get(each) != self.gates.get(each)
            }
            wishes = {service_id: await self._wish(service_id) for service_id in sorted(changed)}
            wishes |= self._absent(changed)
            self._reconciler.declare(wishes, known=self.merged.complete)
            self.applied = {snapshot.source: snapshot for snapshot in snapshots}
            self._find_refusals(admitted)
            self._reconciler.heard("")
            if changed:
                self._find_roots(changed)
            self._report(admitted)

    def _look_for_new_ids(self, before: Merged) -> None:
        if self.merged.complete and before.services is not self.merged.services:
            used = self._reconciler.controllers.used_services()
            self._renames.look(used, self.merged.services, before.services.keys())
            self._renames.keep(self.merged.services.keys())

    def _find_refusals(self, snapshots: Sequence[Snapshot]) -> None:
        before = self.refusals
        self.refusals = refusals(snapshots, self.merged, before, self._wall())
        for service_id in before.keys() | self.refusals.keys():
            if before.get(service_id) != self.refusals.get(service_id):
                self._reconciler.heard(service_id)

    def _report(self, snapshots: Sequence[Snapshot]) -> None:
        """Says each problem and each conflict once, when it comes up."""
        problems = (problem for snapshot in snapshots for problem in (*snapshot.problems, *snapshot.warnings))
        found = {
            (problem.service if problem.reason else "", problem.reason or "SourceProblem", str(problem))
            for problem in problems
        }
        found |= {("", "Conflict", str(each)) for lost in self.merged.conflicts.values() for each in lost}
        for service_id, reason, message in sorted(found - self._reported):
            self._reconciler.events.emit(service_id, reason, message, warning=reason != "Fetching")
        self._reported = found

    async def _scan(self) -> None:
        for source in list(self.sources):
            await self._scan_one(source)

    async def _scan_one(self, source: Guarded) -> None:
        await source.scan()
        if source.snapshot.known and not source.snapshot.problems:
            self.last_read[source.name] = self._wall()

    async def _follow_packages(self) -> None:
        while True:
            for root in await self._packages.changed():
                self.resolve_again(self._roots.get(root, ()))

    async def _begin(self, source: Guarded) -> None:
        """A source that came while the node runs."""
        await self._scan_one(source)
        if source in self.sources:
            self._dirty_set()
            await self._watch(source)

    async def _watch(self, source: Guarded) -> None:
        with anyio.CancelScope() as scope:
            self._watches[source.name] = scope
            await source.watch(self._dirty_set)

    def _drop(self, name: str) -> None:
        self.sources = [source for source in self.sources if source.name != name]
        if (scope := self._watches.pop(name, None)) is not None:
            scope.cancel()

    def _find_roots(self, changed: set[str]) -> None:
        """Where packages come from, and whose they are, after some services changed."""
        roots = {path: ids - changed for path, ids in self._roots.items()}
        for service_id in changed & self.merged.services.keys():
            for root in self._roots_of(service_id):
                roots.setdefault(root, set()).add(service_id)
        roots = {path: ids for path, ids in roots.items() if ids}
        if roots.keys() != self._roots.keys():
            self._packages.want(roots.keys(), self.merged.services.keys())
        self._roots = roots

    def _roots_of(self, service_id: str) -> list[Root]:
        """Its package, and the files of its secrets."""
        winner = self.merged.services[service_id]
        try:
            package = package_of(winner) or package_path(winner.declared)
            secrets = secret_paths(winner.declared, winner.kind) if winner.declared.manifest.secrets else {}
            return [*([package] if package else []), *map(SecretPath, secrets.values())]
        except Exception as error:
            self._errors.report(service_id, error)
            return []

    def _absent(self, changed: set[str]) -> dict[str, Wish]:
        """Services that the node remembers or runs, and no source mentions."""
        controllers = self._reconciler.controllers
        stale = (controllers[each] for each in controllers.keys() - self.merged.services.keys())
        return {c.id: Wish() for c in stale if c.wish.service or c.wish.problem or c.id in changed}

    async def _wish(self, service_id: str) -> Wish:
        winner = self.merged.services.get(service_id)
        if winner is None:
            return Wish()
        controller = self._reconciler.controllers.obtain(service_id)
        cycle = self.merged.cycles.get(service_id)
        problem = Verdict("DependencyCycle", f"depends on itself: {' → '.join(cycle)}") if cycle else None
        gate = self.gates.get(service_id, OPEN)
        if gate.problem is not None:
            return self._withheld(winner, gate.problem, gate.barred, controller.wish)
        try:
            service: Service | None = await self._packages.resolve(winner, controller.generation)
        except ResolveError as error:
            hint = f" ({error.hint})" if error.hint else ""
            problem = Verdict(error.reason, f"{error.message}{hint}", passing=isinstance(error, NotHere))
            service = controller.wish.service
        except Exception as error:
            problem, service = self._errors.report(service_id, error), controller.wish.service
        rank = self._ranks[winner.source]
        note = self._noted(winner, controller.wish.note)
        barred = gate.barred - ({service.revision} if service and not problem else set())
        return Wish(service, problem, bool(cycle), winner.declared, rank, note, barred)

    def _withheld(self, winner: Winner, problem: Verdict, barred: frozenset[str], before: Wish) -> Wish:
        """What ran of it goes on where it may, and what is wanted waits for a person."""
        service = before.service
        if service is not None and (service.revision in barred or service.source != winner.source):
            service = None
        service_id = winner.declared.manifest.id
        conditions = self._reconciler.controllers.obtain(service_id).conditions
        # When it comes to stand still the loop tells it.
        stalled = any((each.type, each.status) == ("Stalled", "True") for each in conditions)
        if stalled and (before.problem is None or before.problem.message != problem.message):
            self._reconciler.events.emit(service_id, problem.reason, problem.message, warning=True)
        rank = self._ranks[winner.source]
        return Wish(service, problem, declared=winner.declared, rank=rank, note=before.note, barred=barred)

    def _noted(self, winner: Winner, before: Noted | None) -> Noted | None:
        service_id, kind = winner.declared.manifest.id, "Updatable"
        verdict = self._packages.note(winner)
        if verdict is None:
            verdict, kind = self._renames.note(service_id), "DataFound"
        if verdict is None and (told := self._warned.get(service_id)) is not None:
            verdict, kind = Verdict(told.reason, told.message), "ProjectInId"
        if verdict is None:
            return None
        condition = Condition(kind, "False", verdict.reason, verdict.message)
        if before and before.condition == condition:
            return before
        if before is None or before.condition.reason != verdict.reason:
            self._reconciler.events.emit(service_id, verdict.reason, verdict.message, warning=True)
        return Noted(condition, self._wall())

    def _dirty_set(self) -> None:
        self._dirty.set()


def only_here(snapshot: Snapshot, place: Place) -> Snapshot:
    """What a source declares for this node."""
    here = tuple(each for each in snapshot.services if runs_on(each.manifest, place))
    return snapshot if len(here) == len(snapshot.services) else replace(snapshot, services=here)


def changes(before: Merged, after: Merged) -> set[str]:
    """Ids whose winning manifest, or whose place on a dependency cycle, is not the same as before."""
    if before.services is after.services:
        return set()
    old, new = before.services, after.services
    changed = {service_id for service_id, winner in new.items() if old.get(service_id) is not winner}
    changed |= old.keys() - new.keys()
    return changed | {
        service_id
        for service_id in before.cycles.keys() | after.cycles.keys()
        if before.cycles.get(service_id) != after.cycles.get(service_id)
    }
