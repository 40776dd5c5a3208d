"""What services run from: folders of this machine, and repositories that are fetched to it.

    want(roots) ─► folders are watched, repositories fetched ─► changed() ─► resolve(winner) ─► service

`DesiredState` says what is wanted, and resolves again what changed. What a program writes into its own
package is no change (`decide.rewriting`).
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import anyio
import anyio.from_thread
import anyio.to_thread

from manifests.model.git import GitPackage
from manifests.packages.file_watcher import FileWatcher
from manifests.packages.resolve import ResolveError, files_of, resolve
from manifests.packages.watcher import PackageWatcher
from reconciler.decide.rewriting import Rewriting, as_fetched
from reconciler.drive.git_packages import GitPackages
from reconciler.drive.git_releases import GitReleases
from reconciler.drive.image_releases import ImageReleases
from reconciler.drive.keep_going import keep_going
from reconciler.drive.updates import Updates
from reconciler.state.habits import FILE as HABITS
from reconciler.state.habits import HabitsFile
from reconciler.state.images import FILE as IMAGES
from reconciler.state.images import ImagePins
from reconciler.state.releases import FILE as RELEASES
from reconciler.state.releases import Releases
from reconciler.state.updates import FILE as UPDATES
from reconciler.state.updates import UpdatesFile
from reconciler.state.vault import Vault
from runtimes.packages.git import Repositories
from runtimes.paths import REPOSITORIES

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from manifests.model.merge import Winner
    from manifests.model.service import Service
    from manifests.secret_files import Found
    from reconciler.decide.conditions import Verdict
    from reconciler.drive.controllers import Controllers
    from reconciler.drive.events import EventLog
    from reconciler.drive.git_packages import Versions
    from runtimes.base import RuntimeFailure


class SecretPath(NamedTuple):
    """A file with secrets of a service."""

    path: str


#: Where a package comes from: its folder, or a repository; or a file with secrets.
Root = str | GitPackage | SecretPath


class Host(Protocol):
    """The node, as its packages see it."""

    @property
    def complete(self) -> bool:
        """Whether every source was read, so that no service may be wanted that none mentions yet."""
        ...

    def packages_in_use(self) -> Collection[str]:
        """The folders of packages that something runs from, or may run from again."""
        ...

    def failed(self, error: Exception) -> None:
        """A part of the node that is no service's has an internal error; it is tried again."""
        ...


class PackageStore(Protocol):
    """Where the packages of services come from, and what of them is run."""

    async def resolve(self, winner: Winner, generation: int) -> Service:
        """The service that a declaration makes, with its package as it is now. Raises ResolveError."""
        ...

    def note(self, winner: Winner) -> Verdict | None:
        """What a person should know about a service's package, though it keeps nobody from running."""
        ...

    def want(self, roots: Collection[Root], service_ids: Collection[str]) -> None:
        """Follows these roots, for these services, and no others."""
        ...

    async def changed(self) -> Collection[Root]:
        """The roots that are not as they were at the last call, once there are any."""
        ...

    async def run(self, host: Host) -> None:
        """Looks after them until cancelled."""
        ...


def open_packages(home: Path, controllers: Controllers, events: EventLog) -> Packages:
    """Those of the node in this home."""
    return Packages(
        Repositories(home / REPOSITORIES),
        Releases(home / RELEASES),
        HabitsFile(home / HABITS),
        Vault(home),
        controllers,
        events,
        UpdatesFile(home / UPDATES),
        ImagePins(home / IMAGES),
    )


class Packages:
    """Implements `PackageStore` over folders and git.

    `git` answers those who ask about single packages, `updates` moves services among releases by
    itself, and `images` among those of registries.
    """

    def __init__(
        self,
        versions: Versions,
        releases: Releases,
        habits: HabitsFile,
        vault: Vault,
        controllers: Controllers,
        events: EventLog,
        updates: UpdatesFile | None = None,
        image_pins: ImagePins | None = None,
    ) -> None:
        self._vault = vault
        self._controllers = controllers
        self._habits = habits
        self._events = events
        self._changed: set[Root] = set()
        self._any_changed = anyio.Event()
        self._watcher = PackageWatcher(self._note_changed)
        self._files = FileWatcher(lambda path: self._note_changed(SecretPath(path)))
        self._bare: set[tuple[str, str]] = set()
        self._rewriting = Rewriting(habits.read())
        self.git = GitPackages(
            versions, releases, ran=controllers.ran_from, changed=self._note_changed, failed=self._git_failed
        )
        self.images = ImageReleases(image_pins or ImagePins())
        origins = (GitReleases(self.git), self.images)
        self.updates = Updates(updates or UpdatesFile(), origins, events, jitter=random.random)

    async def resolve(self, winner: Winner, generation: int) -> Service:
        """Reading a package takes a while on a slow disk; a bare command takes none."""
        located = self.images.located(self.git.located(winner))
        secrets = await self._read_secrets(located)
        digest = self._vault.digest(secrets) if secrets else ""
        service = await self._resolve(winner, located, generation, digest)
        if secrets:
            await self._keep_secrets(service, secrets)
        return service

    async def _read_secrets(self, located: Winner) -> Found | None:
        if not located.declared.manifest.secrets:
            return None
        found = await anyio.to_thread.run_sync(self._vault.read, located.declared, located.kind)
        service_id = located.declared.manifest.id
        bare = {(service_id, path) for path in found.bare if located.kind in ("git", "record", "follow")}
        for _, path in sorted(bare - self._bare):
            message = f"{path} is not encrypted, and whoever has its history reads it: `atek secret seal`"
            self._events.emit(service_id, "SecretNotEncrypted", message, warning=True)
        self._bare = {each for each in self._bare if each[0] != service_id} | bare
        return found

    async def _keep_secrets(self, service: Service, found: Found) -> None:
        try:
            await anyio.to_thread.run_sync(self._vault.keep, service, found)
        except OSError as error:
            message = f"the secrets of {service.id} cannot be kept: {error.strerror or error}"
            raise ResolveError("SecretsNotKept", message, "the disk of the node's home is full?") from error

    async def _resolve(self, winner: Winner, located: Winner, generation: int, secrets: str) -> Service:
        if located.declared.manifest.source is None:
            return resolve(located.declared, located.source, generation, secrets=secrets)
        # A thread knows nothing of a cancellation by itself, and a node that ends would wait for it.
        in_thread = partial(
            resolve, located.declared, located.source, generation,
            secrets=secrets, check=anyio.from_thread.check_cancelled,
        )  # fmt: skip
        service = await anyio.to_thread.run_sync(in_thread)
        if self.git.has(winner):
            return as_fetched(service, self._controllers.packages_of(service.id))
        files = files_of(service.package.path) if service.package else {}
        service = self._rewriting.taken(service, files, time.monotonic())
        if self._habits.differs(found := self._rewriting.found_out()):
            await anyio.to_thread.run_sync(self._habits.write, found)
        return service

    def note(self, winner: Winner) -> Verdict | None:
        """See `PackageStore`."""
        service_id = winner.declared.manifest.id
        return self.git.note(winner) or self.updates.note(winner) or self._rewriting.note(service_id)

    def rename(self, old: str, new: str) -> None:
        """What is known of a service's updates is known under its new id. Raises OSError."""
        self.images.rename(old, new)
        self.updates.rename(old, new)

    def want(self, roots: Collection[Root], service_ids: Collection[str]) -> None:
        """See `PackageStore`."""
        self._watcher.set_roots([root for root in roots if isinstance(root, str)])
        self.git.want([root for root in roots if isinstance(root, GitPackage)])
        self._files.set_files([root.path for root in roots if isinstance(root, SecretPath)])
        self._rewriting.keep(service_ids)

    async def changed(self) -> Collection[Root]:
        """See `PackageStore`."""
        await self._any_changed.wait()
        self._any_changed = anyio.Event()
        changed, self._changed = self._changed, set()
        return changed

    async def run(self, host: Host) -> None:
        """Watches, fetches, and deletes what nobody needs, until cancelled."""

        def in_use() -> Collection[str] | None:
            return host.packages_in_use() if host.complete else None

        async with anyio.create_task_group() as tasks:
            for run in (self._watcher.run, self._files.run, self.git.run, partial(self.git.collect, in_use)):
                tasks.start_soon(keep_going, run, host.failed)

    def _note_changed(self, root: Root) -> None:
        self._changed.add(root)
        self._any_changed.set()

    def _git_failed(self, failure: RuntimeFailure) -> None:
        self._events.emit("", failure.reason, failure.message, warning=True)
