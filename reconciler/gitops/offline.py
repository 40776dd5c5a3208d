"""What Git sources say by what is on this machine's disk, read without their node, and without writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.snapshot import Problem, Snapshot
from reconciler.gitops.decide import elsewhere, objection
from reconciler.gitops.kept import KeptFile
from reconciler.gitops.reading import Reading, read_folder
from reconciler.gitops.repository import Repositories
from reconciler.gitops.sources import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from manifests.model.nodes import Place
    from manifests.model.snapshot import Declared
    from reconciler.gitops.decide import Kept
    from reconciler.gitops.obtaining import Proposal


class KeptManifests:
    """The commit that is applied, or, with `proposal`, as it would be with that one. Implements `Source`."""

    def __init__(self, home: Path, source: GitSource, place: Place, proposal: Proposal | None = None) -> None:
        self._source = source
        self._place = place
        self._proposal = proposal
        self._path = source.folder(place.name)
        self._file = KeptFile(home, source.name)
        self._repository = Repositories(home, home / FOLDER).open(source)
        #: Ids of services that it declares, or would.
        self.concerned: frozenset[str] = frozenset()
        self.snapshot = Snapshot(source.name, "git", known=False)

    @property
    def name(self) -> str:
        return self._source.name

    async def scan(self) -> None:
        """See `Source`."""
        kept = self._file.peek()
        if kept.origin != f"{self._source.url} {self._path}":
            kept = type(kept)()
        before = self._applied(kept)
        after = before if self._proposal is None else self._proposed(self._proposal, kept, before)
        self.snapshot = after
        self.concerned = frozenset(
            each.manifest.id for snapshot in (before, after) for each in snapshot.services
        )

    async def watch(self, changed: Callable[[], None]) -> None:
        """Nobody watches it."""

    def _applied(self, kept: Kept) -> Snapshot:
        if kept.applied is None or (found := self._read(kept.applied.commit)) is None:
            return Snapshot(self.name, "git", known=False)
        services = {each.manifest.id: each for each in found.services}
        for service_id, commit in elsewhere(kept).items():
            other = self._read(commit)
            services |= {
                each.manifest.id: each
                for each in (other.services if other else ())
                if each.manifest.id == service_id
            }
        return Snapshot(self.name, "git", kept.applied.ref, tuple(services.values()))

    def _proposed(self, proposal: Proposal, kept: Kept, before: Snapshot) -> Snapshot:
        """A commit that would be held changes nothing."""
        if proposal.reason:
            return self._held(before, Problem(proposal.message, self.name, reason=proposal.reason))
        reading = read_folder(
            proposal.folder,
            self._source,
            self._place,
            trees=self._repository.trees,
            closed=proposal.requested,
            ids=self._repository.ids,
        )
        services = {each.manifest.id: each for each in reading.services}
        if reading.problems:
            return self._held(before, *reading.problems)
        if why := objection(self._source, kept, (), services):
            return self._held(before, Problem(why[1], self.name, reason=why[0]))
        left: tuple[Declared, ...] = ()
        if not self._source.prune:
            left = tuple(each for each in before.services if each.manifest.id not in services)
        return Snapshot(self.name, "git", proposal.revision, (*services.values(), *left))

    def _held(self, before: Snapshot, *problems: Problem) -> Snapshot:
        return Snapshot(self.name, "git", before.revision, before.services, problems, known=before.known)

    def _read(self, commit: str) -> Reading | None:
        folder = self._repository.laid_out(commit, self._path)
        try:
            trees, ids = self._repository.trees, self._repository.ids
            return read_folder(str(folder), self._source, self._place, trees=trees, ids=ids)
        except OSError:
            return None
