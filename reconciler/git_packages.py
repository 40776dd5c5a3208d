"""Packages from Git repositories, kept as new as their branches and tags while the node runs.

A service that has one is resolved from the version that is on the disk. A newer one is fetched beside it and
resolved in its place; a repository that cannot be reached changes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import anyio

from manifests.merge import Winner
from manifests.resolve import ResolveError, git_package
from reconciler.defects import defect
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anyio.abc import TaskGroup

    from manifests.git import GitPackage

#: Seconds between two looks at a branch or tag; after a failure sooner, and then ever more seldom.
LOOK_AGAIN = 60.0
AFTER_FAILURE, SELDOM = 2.0, 300.0
FETCHING = "Fetching"
#: In the home: the versions that were fetched.
REPOSITORIES = "packages/.repositories"


class Versions(Protocol):
    """What is on the disk. `runtimes.git.Repositories` is the one with git behind it."""

    def find(self, package: GitPackage) -> str | None: ...

    async def update(self, package: GitPackage) -> bool: ...

    async def collect(self, wanted: Collection[GitPackage], in_use: Collection[str]) -> None: ...


class NotHere(ResolveError):
    """A package that is on its way: nobody has to do anything."""


class GitPackages:
    """Fetches what is wanted. `changed` hears of a package that is another now, or fails otherwise."""

    def __init__(self, versions: Versions) -> None:
        self.changed: Callable[[GitPackage], None] = lambda _: None
        self.own: Callable[[str], bool] = lambda _: True
        self.failed: Callable[[RuntimeFailure], None] = lambda _: None
        self._versions = versions
        self._wanted: frozenset[GitPackage] = frozenset()
        self._scopes: dict[GitPackage, anyio.CancelScope] = {}
        self._failures: dict[GitPackage, RuntimeFailure] = {}
        self._news = anyio.Event()

    def want(self, packages: Collection[GitPackage]) -> None:
        """These and no others."""
        if packages != self._wanted:
            self._wanted = frozenset(packages)
            self._news.set()

    def located(self, winner: Winner) -> Winner:
        """The same declaration with a folder of this machine for its package, as it was last fetched.

        Raises ResolveError: NotHere while it is on its way.
        """
        package = package_of(winner, self.own)
        return winner if package is None else with_folder(winner, self._folder(package))

    def _folder(self, package: GitPackage) -> str:
        failure = self._failures.get(_version(package))
        try:
            if found := self._versions.find(package):
                return found
        except RuntimeFailure as error:
            raise ResolveError(error.reason, error.message, error.hint) from error
        if failure is not None:
            raise NotHere(failure.reason, f"{failure.message}; will be tried again", failure.hint)
        raise NotHere(FETCHING, f"fetches {package.url}")

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._adjust(tasks)
                await self._news.wait()
                self._news = anyio.Event()

    # -- inside

    def _adjust(self, tasks: TaskGroup) -> None:
        versions = {_version(package) for package in self._wanted}
        for version in self._scopes.keys() - versions:
            self._scopes.pop(version).cancel()
            self._failures.pop(version, None)
        for version in sorted(versions - self._scopes.keys(), key=str):
            self._scopes[version] = scope = anyio.CancelScope()
            tasks.start_soon(self._follow, version, scope)

    async def _follow(self, version: GitPackage, scope: anyio.CancelScope) -> None:
        pause = AFTER_FAILURE
        with scope:
            while True:
                if await self._update(version):
                    if version.is_fixed:
                        return
                    pause = AFTER_FAILURE
                    await anyio.sleep(LOOK_AGAIN)
                else:
                    await anyio.sleep(pause)
                    pause = min(2 * pause, SELDOM)

    async def _update(self, version: GitPackage) -> bool:
        """Whether it could be looked at."""
        before = self._failures.get(version)
        try:
            news = await self._versions.update(version)
        except RuntimeFailure as failure:
            self._failures[version] = failure
            if before is None or before.message != failure.message:
                self.failed(failure)
                self._tell(version)
            return False
        except Exception as error:
            # One repository's defect keeps no other one from being followed.
            verdict = defect(error)
            self._failures[version] = RuntimeFailure(verdict.reason, verdict.message)
            self.failed(self._failures[version])
            return False
        self._failures.pop(version, None)
        if news or before is not None:
            self._tell(version)
        return True

    def _tell(self, version: GitPackage) -> None:
        for package in self._wanted:
            if _version(package) == version:
                self.changed(package)

    async def collect(self, in_use: Callable[[], Collection[str] | None]) -> None:
        """Deletes now and then what nobody needs any more, until cancelled.

        `in_use`: the folders that something runs from, or may run from again; None while that is not known.
        """
        while True:
            await anyio.sleep(LOOK_AGAIN)
            if (folders := in_use()) is not None:
                with suppress(OSError):
                    await self._versions.collect(self._wanted, folders)


def package_of(winner: Winner, own: Callable[[str], bool]) -> GitPackage | None:
    """The package of a service that comes from Git; `own`: whether a source is this node's."""
    found = git_package(winner.declared.manifest.source, winner.declared.base)
    return found and replace(found, own=own(winner.source))


def with_folder(winner: Winner, folder: str) -> Winner:
    """The same declaration, with a folder of this machine as its package."""
    manifest = winner.declared.manifest.model_copy(update={"source": folder})
    return Winner(replace(winner.declared, manifest=manifest), winner.source)


def _version(package: GitPackage) -> GitPackage:
    """All folders of one version are fetched together."""
    return replace(package, folder="")
