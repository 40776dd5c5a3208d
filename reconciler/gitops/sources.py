"""All Git sources of a node."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from reconciler.errors import UserError
from reconciler.gitops.credentials import read_secret
from reconciler.gitops.hooks import Bell
from reconciler.gitops.kept import KeptFile
from reconciler.gitops.port import GIT, unknown, unwritable
from reconciler.gitops.repository import Repositories
from reconciler.gitops.source import GitManifests
from reconciler.gitops.troubles import GitTrouble
from reconciler.gitops.writing import write_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from manifests.model.nodes import Place
    from reconciler.decide.updating import Edit
    from reconciler.drive.events import EventLog
    from reconciler.gitops.port import Counts, GitHost, Hooked

#: Where repositories are mirrored, below the home.
FOLDER = "state/git"


def owner_of(source: GitSource) -> str:
    """As whom its services act; empty: as this node's own."""
    return f"{GIT}{source.url}" if source.trust == "foreign" else ""


class GitSources:
    """Implements `reconciler.gitops.port.Git`."""

    def __init__(
        self,
        home: Path,
        sources: Sequence[GitSource],
        place: Place,
        events: EventLog,
        *,
        jitter: Callable[[], float],
    ) -> None:
        self._node: GitHost | None = None
        self._home = home
        self._bells = {each.name: Bell() for each in sources}
        self._events = events
        self._place = place
        self._jitter = jitter
        self._writing: dict[str, anyio.Lock] = {}
        self._repositories = Repositories(home, home / FOLDER)
        self._sources = {
            each.name: GitManifests(
                each, self._repositories.open(each), KeptFile(home, each.name), place, events,
                entry=self._entry, in_use=self._needed, jitter=jitter,
            )
            for each in sources
        }  # fmt: skip

    def sources(self) -> Sequence[GitManifests]:
        """See `Git`."""
        return list(self._sources.values())

    async def run(self, node: GitHost) -> None:
        """See `Git`."""
        self._node = node
        wanted = [each.source for each in self._sources.values()]
        await anyio.to_thread.run_sync(partial(self._repositories.sweep, wanted))
        with self._events.subscribe() as events:
            async for _ in events:
                for source in self._sources.values():
                    source.hear()

    def status(self, name: str) -> Mapping[str, Any]:
        """See `Git`."""
        source = self._sources.get(name)
        return source.status() if source is not None else {}

    def owner_of(self, name: str) -> str:
        """See `Git`."""
        source = self._sources.get(name)
        return owner_of(source.source) if source is not None else ""

    def counts(self) -> Mapping[str, Counts]:
        """See `Git`."""
        return {name: source.counts for name, source in self._sources.items()}

    def hook(self, name: str, headers: Mapping[str, str], body: bytes) -> Hooked:
        """See `Git`. A source without a secret is not told from one that is not there."""
        source = self._sources.get(name)
        if source is None or source.source.hook_secret_file is None:
            return "Unknown"
        try:
            secret = read_secret(str(self._home / source.source.hook_secret_file)).strip()
        except GitTrouble as trouble:
            self._events.emit("", trouble.reason, f"source {name}: {trouble}", warning=True)
            return "Unsigned"
        hooked = self._bells[name].hear(headers, body, secret, time.time())
        if hooked == "Rung":
            source.ring()
        return hooked

    async def sync(self, name: str | None) -> Sequence[str]:
        """See `Git`."""
        if name is not None and name not in self._sources:
            raise unknown(name, list(self._sources))
        chosen = [self._sources[name]] if name is not None else list(self._sources.values())
        if suspended := [each.name for each in chosen if each.source.suspend and name is not None]:
            raise UserError(f"{suspended[0]} is suspended", hint="its suspend in config.toml says so")
        async with anyio.create_task_group() as tasks:
            for source in chosen:
                if not source.source.suspend:
                    tasks.start_soon(source.sync)
        return [each.name for each in chosen]

    async def propose(self, name: str, ref: str) -> Mapping[str, Any]:
        """See `Git`."""
        if name not in self._sources:
            raise unknown(name, list(self._sources))
        try:
            return asdict(await self._sources[name].propose(ref))
        except GitTrouble as trouble:
            raise UserError(trouble.message, hint=trouble.hint) from trouble

    async def write_back(self, name: str, service_id: str, change: Edit) -> str:
        """See `Git`. One after the other in each repository, so that none of them is in another's way."""
        if name not in self._sources:
            raise unwritable(name)
        source = self._sources[name].source
        try:
            async with self._writing.setdefault(source.mirror, anyio.Lock()):
                commit = await write_back(
                    self._repositories.open(source), source, self._place, service_id, change,
                    wall=time.time, jitter=self._jitter,
                )  # fmt: skip
        except GitTrouble as trouble:
            raise UserError(trouble.message, hint=trouble.hint) from trouble
        self._sources[name].ring()
        return commit

    def _entry(self, service_id: str) -> dict[str, Any] | None:
        return self._node.standing(service_id) if self._node is not None else None

    def _needed(self) -> set[str]:
        return set(self._node.packages_in_use()) if self._node is not None else set()
