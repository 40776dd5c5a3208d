"""Packages from Git repositories: fetched, and kept as their manifests say while the node runs.

    #branch, #tag          followed: a newer commit is fetched beside the old one and resolved in its place
    #commit                fetched once
    nothing, or version:   the newest release then, and that one from then on (`releases`); where there are no
                           releases, the default branch, followed

Nothing moves a service to another release but its manifest, when its own is not in the range any more or it
says autoUpdate (`updates`), and `renew`, when a person asks. What ran from a repository before releases were
looked at stays at its commit. A repository that cannot be reached changes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio

from manifests.model.releases import Pin
from manifests.packages.resolve import ResolveError, git_package
from reconciler.decide.conditions import Verdict
from reconciler.decide.internal_error import internal_error
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anyio.abc import TaskGroup

    from manifests.model.git import GitPackage
    from manifests.model.merge import Winner
    from manifests.model.releases import Offer, Release
    from reconciler.state.releases import Releases

#: Seconds between two looks at a branch or tag; after a failure sooner, and then ever more seldom.
LOOK_AGAIN = 60.0
AFTER_FAILURE, SELDOM = 2.0, 300.0
FETCHING = "Fetching"
NO_RELEASE, KEPT = "NoRelease", "KeepsCommit"


class Versions(Protocol):
    """What is on the disk. `runtimes.packages.git.Repositories` is the one with git behind it."""

    def find(self, package: GitPackage) -> str | None: ...

    async def update(self, package: GitPackage) -> bool: ...

    async def ask(self, package: GitPackage) -> Offer: ...

    def kept(self, package: GitPackage, ran: str) -> str: ...

    async def collect(self, wanted: Collection[GitPackage], in_use: Collection[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Installed:
    """What is here of a package from Git: its folder, and the release, or the branch, tag or commit."""

    folder: str
    version: str


class NotHere(ResolveError):
    """A package that is on its way: nobody has to do anything."""


class GitPackages:
    """Fetches what is wanted.

    `ran` tells the folder that a service ran from last; empty: none. `changed` hears of a package that is
    another now, or fails otherwise, and `failed` why.
    """

    def __init__(
        self,
        versions: Versions,
        releases: Releases,
        *,
        ran: Callable[[str], str],
        changed: Callable[[GitPackage], None] = lambda _: None,
        failed: Callable[[RuntimeFailure], None] = lambda _: None,
    ) -> None:
        self.releases = releases
        self._versions = versions
        self._ran = ran
        self._changed = changed
        self._failed = failed
        self._wanted: frozenset[GitPackage] = frozenset()
        self._scopes: dict[GitPackage, anyio.CancelScope] = {}
        self._failures: dict[GitPackage, RuntimeFailure] = {}
        self._missed: set[str] = set()
        self._spared: dict[str, GitPackage] = {}
        self._wanted_changed = anyio.Event()

    def want(self, packages: Collection[GitPackage]) -> None:
        """These and no others."""
        if packages != self._wanted:
            self._wanted = frozenset(packages)
            self._wanted_changed.set()

    def located(self, winner: Winner) -> Winner:
        """The same declaration with a folder of this machine for its package, as it was last fetched.

        Raises ResolveError: NotHere while it is on its way.
        """
        package = package_of(winner)
        return winner if package is None else with_folder(winner, self._folder(package))

    def has(self, winner: Winner) -> bool:
        """Whether its package comes from Git."""
        return package_of(winner) is not None

    def note(self, winner: Winner) -> Verdict | None:
        """What has to be said about where a service stays."""
        package = package_of(winner)
        pin = self.releases.get(package) if package and package.is_release else None
        if pin is None or not pin.kept:
            return None
        where = f"commit {pin.shown} of {pin.url}, where it was before releases were followed"
        return Verdict(KEPT, f"stays at {where}; write version: or #branch, or update it, to move it on")

    def about(self, winner: Winner) -> Installed | None:
        """What is installed of a package from Git; None for other packages, and before it is."""
        package = package_of(winner)
        if package is None:
            return None
        exact = self._exact(package)
        pin = self.releases.get(package) if package.is_release else None
        with suppress(RuntimeFailure):
            if exact is not None and (folder := self._versions.find(exact)):
                return Installed(folder, pin.shown if pin and pin.commit else package.ref)
        return None

    # -- when a person asks

    async def first(self, package: GitPackage) -> None:
        """Fetches what a service that is about to be installed will run. Raises RuntimeFailure or OSError.

        Without a ref it has to have a release: nobody is led onto a branch without saying so.
        """
        if not package.is_release:
            await self._versions.update(package)
            self._versions.find(package)
            return
        await self._move(package, _newest(await self._versions.ask(package), package))

    async def offered(self, package: GitPackage) -> tuple[str, str]:
        """The version that is installed, and the newest that it could be. Raises RuntimeFailure."""
        pin = self.releases.get(package)
        installed = pin.shown if pin else ""
        newest = (await self._versions.ask(package)).newest(package.range)
        if newest is None or (pin and pin.version and newest.version <= pin.version):
            return installed, installed
        return installed, str(newest.version)

    async def renew(self, package: GitPackage) -> None:
        """Moves the service to the newest release that it may have. Raises RuntimeFailure or OSError."""
        newest = _newest(await self._versions.ask(package), package)
        pin = self.releases.get(package)
        if pin is None or pin.version is None or pin.version < newest.version:
            await self._move(package, newest)
            self._changed(package)

    async def _move(self, package: GitPackage, release: Release) -> None:
        pin = Pin(package.url, package.own, release.commit, release.tag)
        await self.fetch(package, pin)
        self.releases.put(package.service, pin)

    # -- for updates by themselves

    async def newest(self, package: GitPackage) -> Release | None:
        """What the service could have; None where there is nothing. Raises RuntimeFailure."""
        return (await self._versions.ask(package)).newest(package.range)

    async def fetch(self, package: GitPackage, pin: Pin) -> None:
        """Has it on the disk, with the package's folder. Raises RuntimeFailure or OSError."""
        await self._versions.update(_at(pin, package))
        self._versions.find(_at(pin, package))

    def stay(self, package: GitPackage, pin: Pin) -> None:
        """The service runs from there from now on. Raises OSError with nothing changed."""
        self.releases.put(package.service, pin)
        self._changed(package)

    def spare(self, package: GitPackage, pin: Pin | None) -> None:
        """It stays on the disk: the service may go back there."""
        self._spared.pop(package.service, None)
        if pin is not None and pin.commit:
            self._spared[package.service] = _at(pin, package)

    # -- inside

    def _exact(self, package: GitPackage) -> GitPackage | None:
        """A branch, tag or commit for every package; None while it is not known for a release."""
        if not package.is_release:
            return package
        if (pin := self.releases.get(package)) is not None:
            return _at(pin, package)
        kept = "" if package.range else self._versions.kept(package, self._ran(package.service))
        return _bare(package, kept) if kept else None

    def _folder(self, package: GitPackage) -> str:
        failure = self._failures.get(_version(package))
        exact = self._exact(package)
        try:
            if exact is not None and (found := self._versions.find(exact)):
                return found
        except RuntimeFailure as error:
            raise ResolveError(error.reason, error.message, error.hint) from error
        if failure is not None:
            raise NotHere(failure.reason, f"{failure.message}; will be tried again", failure.hint)
        raise NotHere(FETCHING, f"fetches {package.url}")

    async def run(self) -> None:
        """Until cancelled. Run again after a defect, it begins anew."""
        self._scopes = {}
        async with anyio.create_task_group() as tasks:
            while True:
                self._adjust(tasks)
                await self._wanted_changed.wait()
                self._wanted_changed = anyio.Event()

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
                    exact = self._exact(version)
                    if exact is not None and exact.is_fixed:
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
            moved = await self._look(version)
        except OSError as error:
            failure = RuntimeFailure("GitFetchFailed", f"{version.url}: {error.strerror or error}")
            self._fail(version, failure)
            return False
        except RuntimeFailure as failure:
            self._fail(version, failure)
            return False
        except Exception as error:
            # One repository's internal error keeps no other one from being followed.
            verdict = internal_error(error)
            self._failures[version] = RuntimeFailure(verdict.reason, verdict.message)
            self._failed(self._failures[version])
            return False
        self._failures.pop(version, None)
        if moved or before is not None:
            self._announce(version)
        return True

    def _fail(self, version: GitPackage, failure: RuntimeFailure) -> None:
        before = self._failures.get(version)
        self._failures[version] = failure
        if before is None or before.message != failure.message:
            self._failed(failure)
            self._announce(version)

    async def _look(self, version: GitPackage) -> bool:
        """Whether there is something new."""
        if not version.is_release:
            return await self._versions.update(version)
        if (pin := self.releases.get(version)) is not None:
            return await self._versions.update(_at(pin, version))
        ran = "" if version.range else self._versions.kept(version, self._ran(version.service))
        pin = first_pin(await self._versions.ask(version), version, ran)
        await self._versions.update(_at(pin, version))
        self.releases.put(version.service, pin)
        return True

    def _announce(self, version: GitPackage) -> None:
        for package in self._wanted:
            if _version(package) == version:
                self._changed(package)

    async def collect(self, in_use: Callable[[], Collection[str] | None]) -> None:
        """Deletes now and then what nobody needs any more, until cancelled.

        `in_use`: the folders that something runs from, or may run from again; None while that is not known.
        """
        while True:
            await anyio.sleep(LOOK_AGAIN)
            if (folders := in_use()) is not None:
                with suppress(OSError):
                    self.releases.keep(self._stays())
                    exact = {found for package in self._wanted if (found := self._exact(package))}
                    exact.update(self._spared.values())
                    await self._versions.collect(exact, folders)

    def _stays(self) -> set[str]:
        """The services whose release is worth remembering: those that there are, or are about to be."""
        ids = {package.service for package in self._wanted if package.is_release}
        gone, self._missed = self._missed - ids, self.releases.ids() - ids
        # Missed twice in a row: whoever is installed at this moment has its release before it is declared.
        return self.releases.ids() - (gone & self._missed)


def first_pin(offer: Offer, package: GitPackage, ran: str) -> Pin:
    """Where a service stays that stays nowhere yet; `ran`: the commit that it was at before, if it was.

    Raises RuntimeFailure when nothing is in the range.
    """
    at = partial(Pin, package.url, package.own)
    if package.range:
        release = _newest(offer, package)
    elif not (newest := offer.newest()):
        return at()
    elif ran:
        known = offer.of_commit(ran)
        return at(ran, known.tag) if known else at(ran, kept=True)
    else:
        release = newest
    return at(release.commit, release.tag)


def _newest(offer: Offer, package: GitPackage) -> Release:
    """Raises RuntimeFailure."""
    if (found := offer.newest(package.range)) is not None:
        return found
    if package.range and (newest := offer.newest()):
        message = f"{package.url} has no release in {package.range}; its newest is {newest.version}"
        raise RuntimeFailure(NO_RELEASE, message, hint="change version: in the manifest")
    message = f"{package.url} has no release: no tag of it is a version like v1.2.3"
    raise RuntimeFailure(NO_RELEASE, message, hint="name a branch, like #main, behind its URL")


def _at(pin: Pin, package: GitPackage) -> GitPackage:
    return replace(_bare(package, pin.commit), tag=pin.tag)


def _bare(package: GitPackage, ref: str) -> GitPackage:
    return replace(package, ref=ref, range="", service="")


def package_of(winner: Winner) -> GitPackage | None:
    """The package of a service that comes from Git."""
    manifest = winner.declared.manifest
    found = git_package(manifest.source, winner.declared.base)
    if found is None:
        return None
    found = replace(found, own=winner.own, stranger=winner.declared.is_foreign)
    return found if found.ref else replace(found, range=manifest.version or "", service=manifest.id)


def with_folder(winner: Winner, folder: str) -> Winner:
    """The same declaration, with a folder of this machine as its package."""
    # What is for repositories only would be wrong with a folder, when it is read again from a record.
    of_folder = {"source": folder, "version": None, "auto_update": None}
    manifest = winner.declared.manifest.model_copy(update=of_folder)
    return winner._replace(declared=replace(winner.declared, manifest=manifest))


def _version(package: GitPackage) -> GitPackage:
    """All folders of one version are fetched together."""
    return replace(package, folder="")
