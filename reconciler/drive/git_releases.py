"""The releases of Git repositories, as `updates` moves services among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.releases import Pin
from reconciler.decide.updating import Choice
from reconciler.drive.git_packages import package_of

if TYPE_CHECKING:
    from manifests.model.git import GitPackage
    from manifests.model.merge import Winner
    from reconciler.decide.updating import Edit
    from reconciler.drive.git_packages import GitPackages


class GitReleases:
    """Implements `reconciler.drive.origins.Origin`."""

    def __init__(self, packages: GitPackages) -> None:
        self._packages = packages

    def origin(self, winner: Winner) -> str | None:
        """See `Origin`."""
        package = _package(winner)
        return None if package is None else package.url

    def here(self, winner: Winner) -> Choice | None:
        """See `Origin`."""
        package = _package(winner)
        pin = self._packages.releases.get(package) if package else None
        return Choice(pin.commit, pin.tag) if pin else None

    async def newest(self, winner: Winner) -> Choice | None:
        """See `Origin`."""
        package = _package(winner)
        assert package is not None
        found = await self._packages.newest(package)
        return Choice(found.commit, found.tag) if found else None

    async def fetch(self, winner: Winner, choice: Choice) -> None:
        """See `Origin`."""
        package = _package(winner)
        assert package is not None
        await self._packages.fetch(package, _pin(package, choice))

    def stay(self, winner: Winner, choice: Choice) -> None:
        """See `Origin`."""
        package = _package(winner)
        assert package is not None
        self._packages.stay(package, _pin(package, choice))

    def spare(self, winner: Winner, choice: Choice | None) -> None:
        """See `Origin`."""
        package = _package(winner)
        assert package is not None
        self._packages.spare(package, _pin(package, choice) if choice else None)

    def edit(self, winner: Winner) -> Edit | None:
        """A range says the same of all that is in it."""
        return None


def _package(winner: Winner) -> GitPackage | None:
    package = package_of(winner)
    return package if package is not None and package.is_release else None


def _pin(package: GitPackage, choice: Choice) -> Pin:
    return Pin(package.url, package.own, choice.at, choice.tag)
