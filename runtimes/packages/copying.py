"""A package's files as they are copied for one revision: those that its digest covers, and what that says."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from manifests.packages.digests import Digests, package_files
from runtimes.base import PermanentFailure, RuntimeFailure

if TYPE_CHECKING:
    from pathlib import Path


def copy_package(source: Path, target: Path) -> None:
    """The files that the package's digest covers, with their execute bits; links stay links.

    Raises OSError, or PermanentFailure for a link that leads out of the package.
    """
    target.mkdir(mode=0o700, parents=True)
    for name, entry in package_files(os.fspath(source)):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_symlink():
            place.symlink_to(_inside(os.readlink(entry.path), name))
        elif entry.is_dir(follow_symlinks=False):
            place.mkdir(exist_ok=True)
        else:
            shutil.copy(entry.path, place, follow_symlinks=False)


def _inside(link: str, name: str) -> str:
    """A link that leads out of the package would let a pushed package read this machine's files."""
    where = os.path.normpath(os.path.join(os.path.dirname(name), link))
    if os.path.isabs(link) or where.startswith(".."):
        raise PermanentFailure(
            "InvalidPackage", f"the link {name} leads out of the package", hint="replace it by a copy"
        )
    return link


def require_content(copy: Path, digest: str) -> None:
    """The package may have been edited while it was copied; then a newer revision is on its way.

    Raises RuntimeFailure.
    """
    if Digests().digest(os.fspath(copy)) != digest:
        raise RuntimeFailure("PackageChanged", "the package changed while it was copied")
