"""`atek plan`: what a node would change, found without one and without writing anything.

The desired side is read from the same sources that a node reads; the other side is what the records and /proc
say is running. The revision decides whether instances would be replaced, as it does in the planner.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio

from manifests.model.nodes import Place
from manifests.packages.resolve import ResolveError, files_of, resolve
from reconciler.decide.admission import admit
from reconciler.decide.inheritance import LOCAL, Inheritance
from reconciler.decide.internal_error import defect
from reconciler.decide.renamed import Renames
from reconciler.decide.rewriting import Rewriting, as_fetched
from reconciler.decide.strategy import choose
from reconciler.drive.desired import only_here
from reconciler.drive.git_packages import GitPackages, NotHere
from reconciler.drive.sources import make_sources
from reconciler.peers.checkout import RecordsAsOf
from reconciler.peers.differences import differences, flatten
from reconciler.peers.follows import FollowsFile
from reconciler.peers.offline import kept_sources
from reconciler.peers.port import FOLLOW
from reconciler.state.core_services import core_services, daemon_socket, shipped_core_services
from reconciler.state.data_owners import DataFolders
from reconciler.state.habits import FILE as HABITS
from reconciler.state.habits import HabitsFile
from reconciler.state.home import holder
from reconciler.state.releases import FILE as RELEASES
from reconciler.state.releases import Releases
from reconciler.state.settings import load_settings
from reconciler.state.store import FileStore, Remembered
from runtimes.data.stateful import keeps
from runtimes.packages.git import Repositories
from runtimes.paths import REPOSITORIES, Paths, run_directory
from runtimes.processes.proc import boot_id, read_stat
from runtimes.processes.records import Records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from manifests.model.merge import Merged, Winner
    from manifests.model.service import Service
    from manifests.model.snapshot import Problem

Kind = Literal["create", "update", "delete", "none", "blocked"]


@dataclass(frozen=True, slots=True)
class Past:
    """Records of an earlier version as plain values (path, seq, value), of a follow, or ("") our own."""

    node: str
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """What would happen to one service; `details` are lines such as `env.LOG_LEVEL: info → debug`.

    Of what would not change they say why, where a person may wonder.
    """

    id: str
    kind: Kind
    message: str = ""
    details: Sequence[str] = ()


def preview(home: Path, paths: Sequence[Path], past: Past | None = None) -> list[Change]:
    """All services by id, also those that would not change. Raises UserError.

    With `past`, that node's records are those of an earlier version.
    """
    settings = load_settings(home, {})
    told = [*(home / file for file in settings.sources.files), *_paths_of_running_node(home, paths), *paths]
    shipped = shipped_core_services(settings, home.resolve(), run_directory(home.resolve()))
    sources = make_sources(home, told, None, shipped)
    if not (home / "manifests").is_dir():
        # No node was ever here: what a node would make first is not missing.
        sources = sources[2:]
    place = Place(settings.name, frozenset(settings.labels))
    if daemon_socket(core_services(settings, shipped), run_directory(home.resolve())):
        sources += kept_sources(home, place)
    if past is not None:
        earlier = RecordsAsOf(home, place, past.node, past.records)
        sources = [*(source for source in sources if source.name != earlier.name), earlier]
    anyio.run(_scan_all, sources)
    running, (memories, _) = _running(home), FileStore(home / "state" / "services").load()
    refused = partial(_refused, _inheritance(home, running, memories))
    merged, snapshots = admit([only_here(source.snapshot, place) for source in sources], {}, refused)
    changes = [
        Change(problem.service or problem.file or snapshot.source, "blocked", str(problem))
        for snapshot in snapshots
        for problem in snapshot.problems
    ]
    git = GitPackages(
        Repositories(home / REPOSITORIES),
        Releases(home / RELEASES),
        ran=lambda service_id: _ran(running.get(service_id), memories.get(service_id, Remembered())),
    )
    ids = sorted(merged.services.keys() | running.keys())
    rewriting = Rewriting(HabitsFile(home / HABITS).read())
    renames = Renames(DataFolders(home).is_held)
    renames.look(_used(running, memories), merged.services)
    judge = Judge(merged, running, git, Paths(home, run_directory(home), 0), rewriting, renames)
    return changes + [judge.change(each, memories.get(each, Remembered())) for each in ids]


def _ran(running: Service | None, memory: Remembered) -> str:
    """The folder that a service ran from last."""
    service = running or memory.healthy
    return service.package.path if service and service.package else ""


def _used(running: Mapping[str, Service], memories: Mapping[str, Remembered]) -> dict[str, Service]:
    healthy = {each: memory.healthy for each, memory in memories.items() if memory.healthy}
    return {**healthy, **running}


def _inheritance(
    home: Path, running: Mapping[str, Service], memories: Mapping[str, Remembered]
) -> Inheritance:
    owners = {follow.name: f"{FOLLOW}{follow.key}" for follow in FollowsFile(home).read()}

    def ran_for(service_id: str) -> set[str]:
        found = (running.get(service_id), memories.get(service_id, Remembered()).healthy)
        return {service.source for service in found if service}

    return Inheritance(DataFolders(home), lambda source: owners.get(source, LOCAL), ran_for)


def _refused(inheritance: Inheritance, services: Mapping[str, Winner]) -> Mapping[str, Problem]:
    return inheritance.judge(services)[0]


async def _scan_all(sources: Sequence[Any]) -> None:
    for source in sources:
        await source.scan()


def _paths_of_running_node(home: Path, paths: Sequence[Path]) -> list[Path]:
    """A node that runs was given paths of its own; without them all of those would look deleted."""
    from pathlib import Path

    about = holder(home) or {}
    return [Path(path) for path in about.get("paths", ()) if Path(path) not in paths]


def _running(home: Path) -> dict[str, Service]:
    """The newest revision that runs of each service."""
    folder = home / "state" / "instances"
    if not folder.is_dir():
        return {}
    boot, found = boot_id(), {}
    for record in sorted(Records(folder).read(), key=lambda record: record.started_at):
        stat = read_stat(record.pid) if record.boot == boot else None
        if stat is not None and not stat.dead and record.start == stat.start:
            found[record.service.id] = record.service
    return found


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares what is wanted with what runs, service by service."""

    merged: Merged
    running: Mapping[str, Service]
    git: GitPackages
    paths: Paths
    rewriting: Rewriting
    renames: Renames

    def change(self, service_id: str, memory: Remembered) -> Change:
        """Never raises: one that is a surprise hides none of the others."""
        try:
            return self._change(service_id, memory)
        except Exception as error:
            verdict = defect(error)
            return Change(service_id, "blocked", f"{verdict.reason}: {verdict.message}")

    def _change(self, service_id: str, memory: Remembered) -> Change:
        before = self.running.get(service_id)
        winner = self.merged.services.get(service_id)
        if winner is None:
            if not self.merged.complete:
                return Change(service_id, "none", "a source cannot be read, so it is kept")
            return Change(service_id, "delete", "nothing declares it any more")
        try:
            located = self.git.located(winner)
            after = self._taken(winner, resolve(located.declared, located.source, memory.generation), memory)
        except NotHere as error:
            return Change(service_id, "blocked", f"only a node knows its package: it {error.message}")
        except ResolveError as error:
            return Change(service_id, "blocked", str(error))
        if cycle := self.merged.cycles.get(service_id):
            return Change(service_id, "blocked", f"depends on itself: {' → '.join(cycle)}")
        if memory.suspended or after.manifest.suspend:
            return Change(service_id, "delete" if before else "none", "it is stopped")
        return self._difference(before, after)

    def _taken(self, winner: Winner, service: Service, memory: Remembered) -> Service:
        """The service as a node takes it: what its program wrote into its package is no edit."""
        if self.git.has(winner):
            ran = (self.running.get(service.id), memory.healthy)
            return as_fetched(service, [each.package for each in ran if each and each.package])
        files = files_of(service.package.path) if service.package else {}
        return self.rewriting.taken(service, files, time.monotonic())

    def _difference(self, before: Service | None, after: Service) -> Change:
        if before is None:
            done = after.manifest.replicas == 0
            kind: Kind = "none" if done else "create"
            note = self.renames.note(after.id)
            message = f"{after.runtime}, revision {after.revision}"
            return Change(after.id, kind, message, [note.message] if note else [])
        details = list(differences(_flat(before), _flat(after)))
        if before.revision == after.revision:
            if details:
                return Change(after.id, "update", "applies without a restart", details)
            held = self.rewriting.held(after.id)
            return Change(after.id, "none", "", [held.message] if held else [])
        choice = choose(after, keeps(self.paths, before))
        message = f"revision {before.revision} → {after.revision}, {choice.strategy}: {choice.because}"
        return Change(after.id, "update", message, details)


def _flat(service: Service) -> dict[str, str]:
    """Every value of a service by its dotted path."""
    package = service.package.digest if service.package else None
    manifest = service.manifest.model_dump(mode="json", by_alias=True)
    return flatten({**manifest, "runtime": service.runtime, "package": package})
