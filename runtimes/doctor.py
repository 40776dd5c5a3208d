"""Looks at the machine: what a node needs, what it would use, and how to mend what is missing.

Only what is `necessary` keeps a node from working; the rest says what it would have to do without.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import re
import resource
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyper.core_services import HYPER_ID
from runtimes.base import RuntimeFailure
from runtimes.docker.address import find_socket
from runtimes.packages.node_versions import OLDEST_NODE, find_node
from runtimes.packages.python import base_python
from runtimes.packages.uv import find_uv
from runtimes.processes.cgroups import CgroupLimiter, make_limiter
from runtimes.processes.ports import require_free
from runtimes.sandbox.machine import Machine
from runtimes.users.ways import MOVE_PROGRAM, closed_way, require_passable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The default port of a node.
PORT = 2835
#: What the design promises to run on.
OLDEST_GLIBC = (2, 34)
ARCHITECTURES = ("x86_64", "aarch64")
#: A node holds a few descriptors per service.
FEW_FILES = 1024
LITTLE_SPACE = 2**30
FEW_WATCHES = 8192
#: A node has one for each watched folder of manifests; the whole user shares the limit.
FEW_WATCHERS = 64
#: What the Hypercore daemon says when it cannot open its store, and in how much of its log it is looked for.
_STORE_TROUBLE = re.compile(r"STORE_[A-Z]+: (?P<message>.*?)(?: \((?P<hint>[^()]*)\))?")
_LOG_END = 65536


@dataclass(frozen=True, slots=True)
class Check:
    """One thing about this machine, in a sentence, and a hint when it is not as it should be."""

    name: str
    ok: bool
    message: str
    hint: str = ""
    necessary: bool = True


def check(home: Path, port: int | None = PORT, users: str | None = None) -> list[Check]:
    """All checks, in the order in which a person would mend what they find; without a port, all but that.

    `users`: the numbers that services' own users are taken from.
    """
    return [
        _python(),
        _architecture(),
        _glibc(),
        _node(),
        _libatomic(),
        _uv(),
        _home(home),
        _space(home),
        _store(home),
        *(() if port is None else (_port(port),)),
        _files(),
        _watches(),
        _cgroup(),
        *((_users(home, users),) if os.geteuid() == 0 or users else ()),
        _sandbox(),
        _engine(),
    ]


def _python() -> Check:
    version = platform.python_version()
    return Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or later")


def _architecture() -> Check:
    machine = platform.machine()
    hint = "Hypercore has programs for x86-64 and aarch64 only; `coreServices = []` does without it"
    return Check("processor", machine in ARCHITECTURES, machine, hint, necessary=False)


def _glibc() -> Check:
    name, version = platform.libc_ver()
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    hint = "glibc 2.34 or later is needed (Debian 12, Ubuntu 22.04)"
    return Check("C library", name == "glibc" and found >= OLDEST_GLIBC, f"{name} {version}".strip(), hint)


def _node() -> Check:
    try:
        tools = find_node()
    except RuntimeFailure:
        hint = "install Node, or libatomic1 so that the one that came with Atek runs"
        return Check("Node and npm", False, f"no Node {OLDEST_NODE} or later runs here", hint)
    return Check("Node and npm", True, f"Node {tools.major}, {tools.node}")


def _libatomic() -> Check:
    found = ctypes.util.find_library("atomic") is not None
    message = "found" if found else "missing; core.hyper cannot open its store without it"
    return Check("libatomic", found, message, "apt install libatomic1", necessary=False)


def _uv() -> Check:
    try:
        return Check("uv", True, find_uv())
    except RuntimeFailure as failure:
        return Check("uv", False, failure.message, failure.hint)


def _home(home: Path) -> Check:
    folder = next(parent for parent in (home, *home.parents) if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("home", False, f"{folder} cannot be written", "choose another with --home")
    # A group may have to pass: that of the services' users.
    if folder == home and home.stat().st_mode & 0o067:
        return Check("home", False, f"others may look into {home}", f"chmod 700 {home}")
    return Check("home", True, os.fspath(home) if folder == home else f"{home} can be made")


def _space(home: Path) -> Check:
    folder = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    return Check("disk space", free >= LITTLE_SPACE, f"{free / 2**30:.1f} GiB free", "packages need room",
                 necessary=False)  # fmt: skip


def _store(home: Path) -> Check:
    """Why the Hypercore daemon did not open its store, in its own words, if that was so the last time."""
    log = home / "logs" / HYPER_ID / "service.log"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_END))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return Check("hyper store", True, "nothing is known against it", necessary=False)
    since_opened = lines[len(lines) - lines[::-1].index("ready") :] if "ready" in lines else lines
    told = next((found for line in reversed(since_opened) if (found := _STORE_TROUBLE.fullmatch(line))), None)
    if told is None:
        return Check("hyper store", True, "nothing is known against it", necessary=False)
    return Check("hyper store", False, told["message"], told["hint"] or "", necessary=False)


def _port(port: int) -> Check:
    if port == 0:
        return Check("port", True, "any that is free")
    try:
        require_free(port)
    except RuntimeFailure as failure:
        hint = "fine if that is your node; otherwise choose another with --port"
        return Check("port", False, failure.message, hint, necessary=False)
    return Check("port", True, f"{port} is free")


def _files() -> Check:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Check("open files", limit >= FEW_FILES, f"at most {limit}", "raise it: ulimit -n 4096",
                 necessary=False)  # fmt: skip


def _watches() -> Check:
    try:
        watches, instances = (_inotify_limit(name) for name in ("max_user_watches", "max_user_instances"))
    except (OSError, ValueError):
        return Check("inotify", False, "its limits cannot be read", necessary=False)
    message = f"at most {watches} watched folders, {instances} watchers"
    hint = "sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=512"
    enough = watches >= FEW_WATCHES and instances >= FEW_WATCHERS
    return Check("inotify", enough, message, hint, necessary=False)


def _inotify_limit(name: str) -> int:
    with open(f"/proc/sys/fs/inotify/{name}") as file:
        return int(file.read())


def _cgroup() -> Check:
    limiter = make_limiter(take_over=False)
    delegated = isinstance(limiter, CgroupLimiter)
    message = f"{'delegated' if delegated else 'not delegated'}: {limiter.enforcement.describe()}"
    hint = "under systemd: Delegate=yes in the service's unit; started by hand: loginctl enable-linger"
    return Check("limits", delegated and bool(limiter.enforcement.cpu), message, hint, necessary=False)


def _users(home: Path, users: str | None) -> Check:
    """Who runs programs, where it might be root."""
    if os.geteuid() != 0:
        message = f"users = {users} has no effect: only root can run programs as somebody else"
        return Check("users", False, message, "leave users out of the config file", necessary=False)
    if users is None:
        hint = 'users = "700000-765535" in the config file, with a home like /var/lib/atek'
        return Check("users", False, "a node of root's runs programs as root", hint, necessary=False)
    try:
        require_passable(home)
    except RuntimeFailure as failure:
        return Check("users", False, failure.message, failure.hint)
    closed = [
        f"{each} ({folder} lets nobody pass)" for each in _runners() if (folder := closed_way(each, -1))
    ]
    if closed:
        message = f"users of services cannot get to {', '.join(closed)}"
        return Check("users", False, message, MOVE_PROGRAM, necessary=False)
    return Check("users", True, f"each service has its own, from {users}")


def _runners() -> Iterator[str]:
    """What runs packages."""
    yield base_python()
    with suppress(RuntimeFailure):
        yield os.fspath(find_node().node)


def _sandbox() -> Check:
    facts = Machine().facts()
    if facts.private is not None:
        message = (
            f"no sandboxes: {facts.private.message}; programs run without, those that must have one do not"
        )
        return Check("bubblewrap", False, message, facts.private.hint, necessary=False)
    if facts.strict is not None:
        message = f"private sandboxes, no strict ones: {facts.strict.message}"
        return Check("bubblewrap", False, message, facts.strict.hint, necessary=False)
    return Check("bubblewrap", True, f"private and strict sandboxes, by {facts.bwrap}", necessary=False)


def _engine() -> Check:
    try:
        socket = find_socket()
    except RuntimeFailure as failure:
        return Check("containers", False, failure.message, failure.hint, necessary=False)
    if not os.access(socket, os.R_OK | os.W_OK):
        hint = "join the group that may use it, for Docker: usermod -aG docker $USER"
        return Check("containers", False, f"{socket} cannot be used by this user", hint, necessary=False)
    return Check("containers", True, f"an engine at {socket}")
