"""Who may pass where, when services have users of their own.

    home/ 0711           packages/ data/ run/ 0711: who knows a name may pass, and nobody may look around
    home/<all else>      0700 and 0600: manifests, state, logs, hyper, the config file data/<id>/
    0700, the service's packages/<id>/       0710, the node's and of the service's group: its copies are the
    service's run/<instance>/      0700, the service's: its socket is in there. control.sock and
    gateway.sock are the node's packages/.cache/    0710, and what was fetched to run there; caches 0700

The folders above the home have to let everybody pass as well: /root does not.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runtimes.base import PermanentFailure, RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.paths import Way

#: In the cache of packages: programs that were fetched, and a folder for each service's builds.
_TOOLS, BUILDS = ("node", "tools"), "builds"
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
    open_tools(home / "packages" / ".cache", way)
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


#: What to do where a service's user cannot get to what runs it.
MOVE_PROGRAM = (
    "install it where everybody may read, as in /usr/local or /opt; of a package for Python that is the "
    "Python which its environment is made from, and this node's own"
)


def require_reachable(programs: Iterable[str], user: int, service_id: str) -> None:
    """Raises PermanentFailure where a service's user cannot get to what runs it.

    What a sandbox shows is found with the user's own rights, too.
    """
    for program in programs:
        if (folder := closed_way(program, user)) is not None:
            message = f"the user of {service_id} cannot get to {program}: {folder} lets nobody else pass"
            raise PermanentFailure("ProgramUnreachable", message, hint=MOVE_PROGRAM)


def closed_way(program: str, user: int) -> Path | None:
    """The first folder that this user cannot pass on the way to a file, wherever links lead."""
    parents = (each for path in (program, os.path.realpath(program)) for each in reversed(Path(path).parents))
    return next((each for each in parents if _is_closed(each, user)), None)


def _is_closed(folder: Path, user: int) -> bool:
    """To everybody but its owner; who is in its group, or on its list (acl(5)), is not looked at."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid != user and not found.st_mode & (stat.S_IXGRP | stat.S_IXOTH)


def open_package_folder(folder: Path, gid: int, *, others: bool = False) -> None:
    """A service's copies of its package are its own; what is beside them is not. Raises OSError.

    `others`: whoever builds it is of no group of the one who runs it.
    """
    if folder.is_dir():
        os.chown(folder, os.geteuid(), gid)
        folder.chmod(0o711 if others else 0o710)


def open_tools(cache: Path, way: Way) -> None:
    """Those that were fetched (versions of Node, Yarn, pnpm) everybody may run; caches stay the node's own.

    Raises OSError.
    """
    if not cache.is_dir():
        return
    for entry in os.scandir(cache):
        if entry.name not in (*_TOOLS, BUILDS) and not entry.is_symlink():
            close_to_others(entry.path)
    fetched = [each for name in _TOOLS if (cache / name).is_dir() for each in (cache / name).iterdir()]
    for folder in (*fetched, *(cache / name for name in (*_TOOLS, BUILDS)), cache):
        if folder.is_dir() and not folder.is_symlink():
            _let_pass(folder, way)


def _let_pass(folder: Path, way: Way) -> None:
    """Where they do not yet."""
    found = folder.stat()
    if way.group is not None and (found.st_gid, stat.S_IMODE(found.st_mode)) != (way.group, 0o710):
        way.open(folder)
