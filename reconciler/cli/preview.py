"""`atek plan`: what a node would change, found without one and without writing anything.

The desired side is read from the same sources that a node reads; the other side is what the records and /proc
say is running. `dry_run` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.cli.dry_run import Change, Judge, Known
from reconciler.decide.admission import admit
from reconciler.decide.inheritance import LOCAL
from reconciler.decide.renamed import Renames
from reconciler.decide.rewriting import Rewriting
from reconciler.drive.desired import only_here
from reconciler.drive.gate import GateKeeper
from reconciler.drive.git_packages import GitPackages
from reconciler.drive.image_releases import ImageReleases
from reconciler.drive.inheritance import Inheritance
from reconciler.drive.sources import make_sources
from reconciler.peers.checkout import RecordsCheckout
from reconciler.peers.follows import FollowsFile
from reconciler.peers.offline import kept_sources
from reconciler.peers.port import FOLLOW
from reconciler.state.compose_ids import kept_ids
from reconciler.state.core_services import core_services, daemon_socket, shipped_core_services
from reconciler.state.data_owners import DataFolders
from reconciler.state.grants import GrantsFile
from reconciler.state.habits import FILE as HABITS
from reconciler.state.habits import HabitsFile
from reconciler.state.home import holder
from reconciler.state.images import FILE as IMAGES
from reconciler.state.images import ImagePins
from reconciler.state.releases import FILE as RELEASES
from reconciler.state.releases import Releases
from reconciler.state.settings import load_settings
from reconciler.state.store import FileStore
from reconciler.state.vault import Vault
from runtimes.packages.git import Repositories
from runtimes.paths import REPOSITORIES, Paths, run_directory
from runtimes.processes.proc import boot_id, read_stat
from runtimes.processes.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from manifests.model.merge import Winner
    from manifests.model.nodes import Place
    from manifests.model.service import Service
    from manifests.model.snapshot import Problem, Snapshot, Source
    from reconciler.gitops.obtaining import Proposal
    from reconciler.gitops.offline import KeptManifests
    from reconciler.state.settings import Settings


@dataclass(frozen=True, slots=True)
class Past:
    """Records of an earlier version as plain values (path, seq, value), of a follow, or ("") our own."""

    node: str
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Merge:
    """A commit that a Git source would apply. `alone`: only what becomes of that source's services."""

    source: GitSource
    proposal: Proposal
    alone: bool = False


def preview(
    home: Path, paths: Sequence[Path], past: Past | None = None, merge: Merge | None = None
) -> list[Change]:
    """All services by id, also those that would not change. Raises UserError.

    With `past`, that node's records are those of an earlier version.
    """
    settings = load_settings(home, {})
    place = settings.place
    sources = _sources(home, paths, settings, place)
    if past is not None:
        sources = _with(sources, RecordsCheckout(home, place, past.node, past.records))
    ahead = _ahead(home, place, merge) if merge is not None else None
    if ahead is not None:
        sources = _with(sources, ahead)
    anyio.run(_scan_all, sources)
    known = Known(_running(home), FileStore(home / "state" / "services").load()[0])
    if ahead is not None and holder(home) is None:
        # Without a node nothing runs; what ran well last is what a commit changes.
        known = Known(known.used(), known.memories)
    refused = partial(_refused, _inheritance(home, known, _owners(home, settings)))
    merged, snapshots = admit([only_here(source.snapshot, place) for source in sources], {}, refused)
    git = GitPackages(Repositories(home / REPOSITORIES), Releases(home / RELEASES), ran=known.ran_from)
    rewriting = Rewriting(HabitsFile(home / HABITS).read())
    renames = Renames(DataFolders(home).is_held)
    renames.look(known.used(), merged.services)
    owners = _owners(home, settings)
    keeper = GateKeeper(GrantsFile(home), lambda source: owners.get(source, LOCAL), known.services)
    judge = Judge(
        merged,
        known,
        git,
        Paths(home, run_directory(home), 0),
        rewriting,
        renames,
        Vault(home),
        ImageReleases(ImagePins(home / IMAGES)),
        keeper.judge(merged.services),
    )
    ids = sorted(merged.services.keys() | known.running.keys())
    if merge is not None and merge.alone and ahead is not None:
        snapshots = [each for each in snapshots if each.source == ahead.name]
        ids = sorted(ahead.concerned)
    return [*_blocked(snapshots), *(judge.change(each) for each in ids)]


def _ahead(home: Path, place: Place, merge: Merge) -> KeptManifests:
    # Not at the top: who has no Git source need not wait for it.
    from reconciler.gitops.offline import KeptManifests

    return KeptManifests(home, merge.source, place, merge.proposal)


def _with(sources: list[Source], other: Source) -> list[Source]:
    """In the place of the one of that name, or behind all."""
    there = any(each.name == other.name for each in sources)
    return [other if each.name == other.name else each for each in sources] + ([] if there else [other])


def _sources(home: Path, paths: Sequence[Path], settings: Settings, place: Place) -> list[Source]:
    """Those that a node would have, in their order."""
    told = [*(home / file for file in settings.sources.files), *_paths_of_running_node(home, paths), *paths]
    run = run_directory(home.resolve())
    shipped = shipped_core_services(settings, home.resolve(), run)
    sources = make_sources(home, told, None, shipped, kept_ids(home))
    if not (home / "manifests").is_dir():
        # No node was ever here: what a node would make first is not missing.
        sources = sources[2:]
    if settings.sources.git:
        from reconciler.gitops.offline import KeptManifests

        sources += [KeptManifests(home, each, place) for each in settings.sources.git]
    if daemon_socket(core_services(settings, shipped), run):
        sources += kept_sources(home, place)
    return sources


def _blocked(snapshots: Sequence[Snapshot]) -> Iterator[Change]:
    for snapshot in snapshots:
        for problem in snapshot.problems:
            yield Change(problem.service or problem.file or snapshot.source, "blocked", str(problem))


def _owners(home: Path, settings: Settings) -> Mapping[str, str]:
    """As whom the services of a source act, by its name; all others as the node's own."""
    owners = {follow.name: f"{FOLLOW}{follow.key}" for follow in FollowsFile(home).read()}
    if settings.sources.git:
        from reconciler.gitops.sources import owner_of

        owners |= {each.name: owner_of(each) for each in settings.sources.git}
    return owners


def _inheritance(home: Path, known: Known, owners: Mapping[str, str]) -> Inheritance:
    return Inheritance(DataFolders(home), lambda source: owners.get(source, LOCAL), known.ran_for)


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
