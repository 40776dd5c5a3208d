"""What a node would do about each service: what is wanted beside what is known, and nothing is changed.

The revision decides whether instances would be replaced, as it does in the planner.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from manifests.packages.resolve import ResolveError, files_of, resolve
from reconciler.decide.internal_error import internal_error
from reconciler.decide.rewriting import as_fetched
from reconciler.decide.strategy import choose
from reconciler.drive.git_packages import NotHere
from reconciler.drive.image_releases import ImageReleases
from reconciler.peers.differences import differences, flatten
from reconciler.state.images import ImagePins
from reconciler.state.store import Remembered
from runtimes.data.stateful import keeps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.merge import Merged, Winner
    from manifests.model.service import Service
    from reconciler.decide.grants import Gate
    from reconciler.decide.renamed import Renames
    from reconciler.decide.rewriting import Rewriting
    from reconciler.drive.git_packages import GitPackages
    from reconciler.state.vault import Vault
    from runtimes.paths import Paths

Kind = Literal["create", "update", "delete", "none", "blocked"]


@dataclass(frozen=True, slots=True)
class Change:
    """What would happen to one service; `details` are lines such as `env.LOG_LEVEL: info → debug`.

    Of what would not change they say why, where a person may wonder.
    """

    id: str
    kind: Kind
    message: str = ""
    details: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a home's services without its node: the newest that runs, and what is remembered."""

    running: Mapping[str, Service]
    memories: Mapping[str, Remembered]

    def memory(self, service_id: str) -> Remembered:
        return self.memories.get(service_id, Remembered())

    def services(self, service_id: str) -> list[Service]:
        """What runs of it, and what ran well last."""
        found = (self.running.get(service_id), self.memory(service_id).healthy)
        return [service for service in found if service]

    def used(self) -> dict[str, Service]:
        """Of each service what runs, or else what ran well last."""
        healthy = {each: memory.healthy for each, memory in self.memories.items() if memory.healthy}
        return {**healthy, **self.running}

    def ran_from(self, service_id: str) -> str:
        """The folder of the package that ran of it last; empty when none did."""
        last = next(iter(self.services(service_id)), None)
        return last.package.path if last and last.package else ""

    def ran_for(self, service_id: str) -> set[str]:
        """The sources of what ran of it last."""
        return {service.source for service in self.services(service_id)}


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares what is wanted with what is known, service by service."""

    merged: Merged
    known: Known
    git: GitPackages
    paths: Paths
    rewriting: Rewriting
    renames: Renames
    vault: Vault
    images: ImageReleases = field(default_factory=lambda: ImageReleases(ImagePins()))
    gates: Mapping[str, Gate] = field(default_factory=dict)

    def change(self, service_id: str) -> Change:
        """Never raises: one that is a surprise hides none of the others."""
        try:
            return self._change(service_id)
        except Exception as error:
            verdict = internal_error(error)
            return Change(service_id, "blocked", f"{verdict.reason}: {verdict.message}")

    def _change(self, service_id: str) -> Change:
        before, memory = self.known.running.get(service_id), self.known.memory(service_id)
        winner = self.merged.services.get(service_id)
        if winner is None:
            if not self.merged.complete:
                return Change(service_id, "none", "a source cannot be read, so it is kept")
            return Change(service_id, "delete", "nothing declares it any more")
        if (gate := self.gates.get(service_id)) is not None and gate.problem is not None:
            return Change(service_id, "blocked", f"{gate.problem.reason}: {gate.problem.message}")
        try:
            located = self.images.located(self.git.located(winner))
            after = self._taken(winner, self._resolve(located, memory.generation))
        except NotHere as error:
            return Change(service_id, "blocked", f"only a node knows its package: it {error.message}")
        except ResolveError as error:
            return Change(service_id, "blocked", str(error))
        if cycle := self.merged.cycles.get(service_id):
            return Change(service_id, "blocked", f"depends on itself: {' → '.join(cycle)}")
        if memory.suspended or after.manifest.suspend:
            return Change(service_id, "delete" if before else "none", "it is stopped")
        return self._difference(before, after)

    def _resolve(self, located: Winner, generation: int) -> Service:
        secrets = ""
        if located.declared.manifest.secrets:
            secrets = self.vault.digest(self.vault.read(located.declared, located.kind, make_identity=False))
        return resolve(located.declared, located.source, generation, secrets=secrets)

    def _taken(self, winner: Winner, service: Service) -> Service:
        """The service as a node takes it: what its program wrote into its package is no edit."""
        if self.git.has(winner):
            ran = self.known.services(service.id)
            return as_fetched(service, [each.package for each in ran if each.package])
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
    """Every value of a service by its dotted path; of secrets, whether they are other ones."""
    package = service.package.digest if service.package else None
    manifest = service.manifest.model_dump(mode="json", by_alias=True)
    secret = {"values of secrets": service.secrets} if service.secrets else {}
    return flatten({**manifest, "runtime": service.runtime, "package": package, **secret})
