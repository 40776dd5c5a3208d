"""What the services API asks about packages from Git: which release is installed, is there a newer one."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from manifests.model.merge import Winner
from manifests.model.snapshot import Declared
from reconciler.drive.git_packages import package_of
from reconciler.errors import UserError
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from manifests.model.git import GitPackage
    from manifests.model.manifest import Manifest
    from reconciler.drive.git_packages import Installed
    from reconciler.state.releases import Releases


class Fetcher(Protocol):
    """`reconciler.drive.git_packages.GitPackages`, as far as it is asked for single packages."""

    releases: Releases

    def about(self, winner: Winner) -> Installed | None: ...

    async def first(self, package: GitPackage) -> None: ...

    async def offered(self, package: GitPackage) -> tuple[str, str]: ...

    async def renew(self, package: GitPackage) -> None: ...


class GitRepositories:
    """The packages of declared services. Everything async raises UserError.

    `is_own`: whether this node's own sources declare the service of that id. `rename`: what is known of one
    id's package is known of another's, beside its release. Raises OSError.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        is_own: Callable[[str], bool],
        rename: Callable[[str, str], None] = lambda old, new: None,
    ) -> None:
        self._fetcher = fetcher
        self._is_own = is_own
        self._rename = rename

    def about(self, declared: Declared) -> Installed | None:
        """What is installed; None for a folder, and for what is still on its way."""
        return self._fetcher.about(self._winner(declared))

    def stays(self, declared: Declared) -> bool:
        """Whether the service stays at a release, until somebody asks for another."""
        package = self._package(declared)
        if package is None or not package.is_release:
            return False
        pin = self._fetcher.releases.get(package)
        return pin is not None and bool(pin.commit)

    @asynccontextmanager
    async def fetched(self, manifest: Manifest, *, new: bool) -> AsyncIterator[None]:
        """Has here what the service will run, or says why not, while it is declared so.

        One that is `new` gets the newest release; others only when theirs is not in the range any more.
        Whoever fails to declare it leaves it where it was.
        """
        package = package_of(Winner(Declared(manifest, "/", ""), ""))
        releases = self._fetcher.releases
        stays = package is None or (package.is_release and not new and releases.get(package) is not None)
        before = releases.pin(manifest.id)
        if package is not None and not stays:
            with _told():
                await self._fetcher.first(package)
        try:
            yield
        except BaseException:
            with suppress(OSError):
                releases.take_back(manifest.id, before)
            raise

    async def offered(self, declared: Declared) -> tuple[str, str]:
        """The installed version, and the newest that there is for the service."""
        package = self._package(declared)
        assert package is not None
        with _told():
            return await self._fetcher.offered(package)

    async def renew(self, declared: Declared) -> None:
        """Moves the service to the newest release that its manifest lets it have."""
        package = self._package(declared)
        assert package is not None
        with _told():
            await self._fetcher.renew(package)

    def rename(self, old: str, new: str) -> None:
        """The service stays at its release under its new id. Raises OSError."""
        self._fetcher.releases.rename(old, new)
        self._rename(old, new)

    def _package(self, declared: Declared) -> GitPackage | None:
        return package_of(self._winner(declared))

    def _winner(self, declared: Declared) -> Winner:
        return Winner(declared, "", self._is_own(declared.manifest.id))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RuntimeFailure as failure:
        raise UserError(failure.message, hint=failure.hint) from failure
