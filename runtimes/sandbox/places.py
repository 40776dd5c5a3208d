"""Where things are on this machine that a sandboxed program must not see, or has to. Pure but for `hidden`.

The node's home, and the same folder by any other path (a bind mount); the run directories of this user's
nodes, by their names and by the sockets that the kernel says are there; the folders of secrets in memory.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from runtimes.sandbox.command import is_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from runtimes.paths import Paths

#: The device, what of it is mounted, and where.
Mount = tuple[str, str, str]
TEMPORARY = "/tmp"
#: Of every node, in its run directory.
_CONTROL = "control.sock"
#: In a command or a variable: up to what ends a word for a shell, a list of paths or an URL.
_BELOW_TEMPORARY = re.compile(
    r"(?<![\w./~-])(?:[a-z][a-z0-9+.-]*:/{2,3})?(/tmp/[^\s:;,'\"`|&<>()$*?\[\]{}\\#]+)"
)
#: proc_pid_mountinfo(5) writes blanks and backslashes as octal numbers.
_OCTAL = re.compile(r"\\([0-7]{3})")


def hidden(paths: Paths) -> list[str]:
    """Every folder that is empty for a private program; whole, without links in them. Raises OSError."""
    user = os.geteuid()
    found = {os.path.realpath(paths.home), os.path.realpath(paths.run)}
    found.add(os.path.realpath(os.path.expanduser("~/.atek")))
    for folder in (f"/run/user/{user}", "/run"):
        found |= {each.path for each in _entries(folder) if each.name.startswith(f"atek-{user}-")}
    with open("/proc/net/unix", errors="surrogateescape", newline="\n") as file:
        found |= {path for run in runs_of_sockets(file) for path in _of_node(run)}
    with open("/proc/self/mountinfo", errors="surrogateescape", newline="\n") as file:
        mounts = _mounts(file.read())
    for path in list(found):
        found |= mounts.aliases(path)
    there = sorted(path for path in found if path != "/" and os.path.isdir(path))
    return [path for path in there if not is_below(path, (each for each in there if each != path))]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def runs_of_sockets(lines: Iterable[str]) -> Iterator[str]:
    """Where nodes that run here may have their sockets, by the lines of proc_net_unix(5)."""
    for line in lines:
        if _CONTROL in line:
            folder, _, name = line.rstrip("\n").split(maxsplit=7)[-1].rpartition("/")
            if name == _CONTROL and folder.startswith("/"):
                yield folder


def _of_node(run: str) -> Iterator[str]:
    """A run directory and the home that it is of. Whatever a program calls so hides no user's folder."""
    home, user = os.path.dirname(run), os.path.expanduser("~")
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(f"{run}/{_CONTROL}").st_mode):
            yield from (each for each in (run, *_home_of(run, home)) if not is_below(user, [each]))


def _home_of(run: str, home: str) -> Iterator[str]:
    if os.path.basename(run) == "run" and os.path.isdir(f"{home}/state/instances"):
        yield home


def parse_mounts(lines: Iterable[str]) -> list[Mount]:
    """The lines of proc_pid_mountinfo(5)."""
    fields = (line.split(" ", 5) for line in lines)
    return [(each[2], _plain(each[3]), _plain(each[4])) for each in fields if len(each) > 4]


def aliases(path: str, mounts: Sequence[Mount]) -> Iterator[str]:
    """Where else a folder is seen, by what is mounted from where."""
    over: Mount | None = None
    for each in mounts:
        # The last one of the deepest lies on top.
        if is_below(path, [each[2]]) and (over is None or len(each[2]) >= len(over[2])):
            over = each
    if over is None:
        return
    device, root, point = over
    inside = _join(root, path[len(point.rstrip("/")) :])
    for other_device, other_root, other_point in mounts:
        if other_device == device and is_below(inside, [other_root]):
            alias = _join(other_point, inside[len(other_root.rstrip("/")) :])
            if alias != path:
                yield alias


class Mounts:
    """What is mounted, and what follows from it: a text that has not changed is not looked through again."""

    def __init__(self, text: str) -> None:
        self._all = parse_mounts(text.split("\n"))
        self._aliases: dict[str, frozenset[str]] = {}

    def aliases(self, path: str) -> frozenset[str]:
        if path not in self._aliases:
            self._aliases[path] = frozenset(aliases(path, self._all))
        return self._aliases[path]


#: The last one.
_mounts = lru_cache(maxsize=1)(Mounts)


def _join(folder: str, below: str) -> str:
    return f"{folder.rstrip('/')}/{below.strip('/')}".rstrip("/") or "/"


def _plain(path: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path) if "\\" in path else path


def named_below_temporary(texts: Iterable[str], exists: Callable[[str], bool]) -> list[str]:
    """What is there of the paths below /tmp that texts name: the path, or the folder that it would be in.

    /tmp itself is never one.
    """
    found = set()
    for text in texts:
        for match in _BELOW_TEMPORARY.finditer(text):
            path = os.path.normpath(match[1])
            while path.startswith(f"{TEMPORARY}/") and not exists(path):
                path = os.path.dirname(path)
            if path.startswith(f"{TEMPORARY}/"):
                found.add(path)
    return sorted(path for path in found if not is_below(path, found - {path}))


def folders_of_interpreter(program: str) -> list[str]:
    """What an interpreter needs beside itself, by the path of its program without links: bin and lib."""
    folder = os.path.dirname(program)
    prefix = os.path.dirname(folder)
    if os.path.basename(folder) not in ("bin", "sbin") or prefix in ("", "/"):
        return [folder]
    return [folder, *(f"{prefix}/{name}" for name in ("lib", "lib64") if os.path.isdir(f"{prefix}/{name}"))]
