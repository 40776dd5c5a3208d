"""A View of the machine as bubblewrap's words: what a program sees, and what it does not. Pure.

Bubblewrap mounts in the order of its words, so what is said last lies on top. *private* begins with the whole
machine and hides; *strict* begins with nothing and shows. In both the program's own folders come on top of
that, held by descriptors: whoever exchanges a folder for a link between the look and the mount changes
nothing.

The words go through a pipe (`--args`), which has two uses: nobody reads them in a process list, and
bubblewrap does nothing before they are all there. So its limits and its record are in place before the
program's first instruction, and a node that dies in between leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: The kernel's settings, as in containers (the OCI runtime's read-only paths): root writes them without any
#: capability, from a user namespace too, and what it writes to kernel/core_pattern is run outside, by root.
KERNEL_SETTINGS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys")

#: Bytes that fit into what covers a hidden folder: a page.
_LEAST = "4096"

#: capabilities(7), each with its bit, that a program of root's keeps in *private*: it may still change users,
#: own files, open low ports and set up networks; it may not mount, load, trace, or read past permissions.
KEPT_CAPABILITIES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6,
    "CAP_SETUID": 7, "CAP_SETPCAP": 8, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_BROADCAST": 11,
    "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_SYS_CHROOT": 18, "CAP_SYS_NICE": 23,
    "CAP_SYS_RESOURCE": 24, "CAP_LEASE": 28, "CAP_AUDIT_WRITE": 29, "CAP_SETFCAP": 31,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """A file or folder by a descriptor of it, and where it is seen."""

    descriptor: int
    path: str
    writable: bool = True


@dataclass(frozen=True, slots=True)
class System:
    """What of this machine's system a *strict* program sees, as it was found.

    `folders` (and long files) are shown read-only; `copied` are short files, whose content is there: one
    thing that is mounted takes longer than all of these. `links` are (where, to what): `/bin` to `usr/bin`.
    `masked` are the kernel's own in /proc that tell of the machine: (path, whether it is a folder).
    """

    folders: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    masked: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What one program sees.

    `own`: its data, socket folder, package. `programs`: what it is run by, wherever that lies; read-only.
    `temporary` is its /tmp, None: one in memory. `hidden`: folders of others', empty for it (strict: those
    that lie in what it is shown).
    `shown`: what its author names below /tmp (private), what its owner lets it see (strict). `texts`
    (strict): files of its own, each with a descriptor of the content. `capabilities`: those of the node's
    that it keeps where the node is root's, None where it is not.
    """

    level: Literal["private", "strict"]
    folder: str
    own: Sequence[Held]
    programs: Sequence[str] = ()
    temporary: Held | None = None
    hidden: Sequence[str] = ()
    shown: Sequence[Held] = ()
    texts: Sequence[Held] = ()
    system: System = field(default_factory=System)
    shared_memory: bool = True
    capabilities: int | None = None


def words(view: View, *, seccomp: int | None, status: int | None) -> list[str]:
    """What follows `bwrap`, without the program. `seccomp` and `status` are descriptors."""
    return [
        *_namespaces(view),
        *(_strict(view) if view.level == "strict" else _private(view)),
        *(() if seccomp is None else ("--seccomp", str(seccomp))),
        *(() if status is None else ("--json-status-fd", str(status))),
        "--chdir", view.folder,
    ]  # fmt: skip


def _namespaces(view: View) -> Iterator[str]:
    """Without --die-with-parent: services outlive the node."""
    if view.level == "strict":
        yield from ("--unshare-all", "--unshare-user", "--cap-drop", "ALL")
        return
    yield from ("--unshare-pid", "--unshare-ipc")
    if view.capabilities is None:
        yield "--unshare-user"
        return
    # One user alone would be known in a user namespace, and root's programs change to others.
    yield from ("--cap-drop", "ALL")
    for name, bit in KEPT_CAPABILITIES.items():
        # One that the node has not got itself would make bubblewrap keep all of them.
        if view.capabilities >> bit & 1:
            yield from ("--cap-add", name)


def _private(view: View) -> Iterator[str]:
    yield from ("--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc")
    if view.shared_memory:
        yield from ("--perms", "1777", "--tmpfs", "/dev/shm")
    yield from _temporary(view)
    # What is named may have the node's home in it.
    yield from _held(view.shown)
    for path in view.hidden:
        yield from ("--perms", "0500", "--size", _LEAST, "--tmpfs", path)
    for path in view.programs:
        yield from ("--ro-bind-try", path, path)
    yield from _held(view.own)
    for path in view.hidden:
        # Elsewhere nothing is looked for, and each change of a mount has all of them read through.
        if any(is_below(held.path, [path]) for held in view.own):
            yield from ("--remount-ro", path)


def _strict(view: View) -> Iterator[str]:
    for path in view.system.folders:
        yield from ("--ro-bind-try", path, path)
    own = {text.path for text in view.texts}
    for path, target in view.system.links:
        if path not in own:
            yield from ("--symlink", target, path)
    yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm")
    for path in KERNEL_SETTINGS:
        yield from ("--ro-bind-try", path, path)
    yield from _masked(view.system)
    for text in view.texts:
        yield from ("--perms", "0444", "--file", str(text.descriptor), text.path)
    yield from _temporary(view)
    for path in view.programs:
        yield from ("--ro-bind-try", path, path)
    yield from _held(view.shown)
    for path in view.hidden:
        yield from ("--perms", "0700", "--tmpfs", path)
    for path in view.programs:
        if is_below(path, view.hidden):
            yield from ("--ro-bind-try", path, path)
    yield from _held(view.own)
    for path in (*view.hidden, "/dev", "/"):
        yield from ("--remount-ro", path)


def _masked(system: System) -> Iterator[str]:
    for path, is_folder in system.masked:
        if is_folder:
            yield from ("--tmpfs", path, "--remount-ro", path)
        else:
            yield from ("--ro-bind", "/dev/null", path)


def _temporary(view: View) -> Iterator[str]:
    if view.temporary is None:
        yield from ("--perms", "1777", "--tmpfs", "/tmp")
    else:
        yield from ("--bind-fd", str(view.temporary.descriptor), "/tmp")


def _held(those: Sequence[Held]) -> Iterator[str]:
    """The outer ones first: a folder in another one lies on top of it."""
    for held in sorted(those, key=lambda each: each.path.count("/")):
        yield from ("--bind-fd" if held.writable else "--ro-bind-fd", str(held.descriptor), held.path)


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of these folders or in it."""
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def sees(view: View, path: str) -> bool:
    """Whether a path of the machine, without links in it, is there for the program at the same place."""
    if is_below(path, (*(held.path for held in view.own), *view.programs)):
        return True
    if is_below(path, (held.path for held in view.shown)) and not is_below(path, view.hidden):
        return True
    if view.level == "strict":
        return is_below(path, (*view.system.folders, *view.system.copied))
    return not is_below(path, (*view.hidden, "/tmp", "/proc", *(["/dev/shm"] * view.shared_memory)))
