"""Who may pass where, when services have users of their own.

    home/ 0711           packages/ data/ run/ 0711: who knows a name may pass, and nobody may look around
    home/<all else>      0700 and 0600: manifests, state, logs, hyper, the config file data/<id>/
    0700, the service's packages/<id>/       0710, the node's and of the service's group: its copies are the
    service's run/<instance>/      0700, the service's: its socket is in there. control.sock and
    gateway.sock are the node's

The folders above the home have to let everybody pass as well: /root does not.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.paths import Way

_PASSED = frozenset({"data", "packages", "run"})
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_ways(home: Path, run: Path, way: Way) -> None:
    """Services reach what is theirs, and nothing else of the home. Raises RuntimeFailure or OSError."""
    require_passable(home)
    for entry in os.scandir(home):
        if entry.name not in _PASSED and not entry.is_symlink():
            close_to_others(entry.path)
    for entry in (*os.scandir(home / "packages"), *os.scandir(home / "data")):
        # What is somebody's is closed to everybody else; and what is the node's own, to all.
        if not entry.is_symlink():
            close_to_others(entry.path, stat.S_IRWXO if entry.stat().st_gid else _OTHERS)
    for folder in (home / "data", home / "packages", run, home):
        way.open(folder)


def close_to_others(path: str, others: int = _OTHERS) -> None:
    """They have nothing to do with it; what is gone is closed."""
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode)
        if mode & others:
            os.chmod(path, mode & ~others)


def require_passable(home: Path) -> None:
    """Raises RuntimeFailure where users of services could not get to the home."""
    for folder in home.resolve().parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise RuntimeFailure(
                "HomeUnreachable",
                f"users of services cannot get to {home}: {folder} lets nobody pass",
                hint="use a home like /var/lib/atek, or leave users out of the config file",
            )


def open_package_folder(folder: Path, gid: int) -> None:
    """A service's copies of its package are its own; what is beside them is not. Raises OSError."""
    if folder.is_dir():
        os.chown(folder, os.geteuid(), gid)
        folder.chmod(0o710)
