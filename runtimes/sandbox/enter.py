"""Runs a command in the sandbox of a program that runs: `enter.py SPEC WORD…`, a process of its own.

Alone, since nothing can be imported once the machine's files are out of sight, and started anew for each
command (a probe), because a process enters namespaces for good. SPEC is JSON: `leader` and `first` are
bubblewrap's two processes, `folder` is where the command runs, `capabilities` those that it may keep,
`filter` the seccomp program in hexadecimal. The command has the rights of the program inside and no other.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

#: The files last: nothing of the machine's is there any more after that (setns(2)).
_NAMESPACES = ("ipc", "uts", "net", "pid", "cgroup", "mnt")
#: The user namespace that another one belongs to (ioctl_ns(2)).
_NS_GET_USERNS = 0xB701
# prctl(2), capset(2), seccomp(2).
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_CAPABILITIES_3 = 0x20080522
#: What a shell says of a command that cannot be executed.
_NOT_FOUND = 127


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def main(spec: dict[str, Any], words: list[str]) -> int:
    """The status of the command; a signal that ended it ends this process."""
    library = ctypes.CDLL(None, use_errno=True)
    entering = _open_namespaces(spec["leader"], spec["first"])
    for descriptor in entering:
        _check(library.setns(descriptor, 0))
        os.close(descriptor)
    child = os.fork()
    if child == 0:
        _execute(library, spec, words)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) != signal.SIGKILL else None
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _open_namespaces(leader: int, first: int) -> list[int]:
    """Those that are not this process's own, in order. Raises OSError when that sandbox has ended.

    Who mounts a /dev of his own without being root does it in a user namespace around the program's: all
    others belong to that one, so it comes first, and the program's own last.
    """
    opened = [found for name in _NAMESPACES if (found := _other(first, name)) is not None]
    inner = _other(first, "user")
    if inner is not None:
        outer = fcntl.ioctl(opened[-1], _NS_GET_USERNS)
        opened = [outer, *opened] if os.path.sameopenfile(outer, inner) else [outer, *opened, inner]
    with open(f"/proc/{first}/stat", "rb") as file:
        parent = int(file.read().rpartition(b")")[2].split()[1])
    if parent != leader:
        raise ProcessLookupError("its sandbox has ended")
    return opened


def _other(pid: int, name: str) -> int | None:
    """A namespace of that process; None for one that this process is in itself."""
    path = f"/proc/{pid}/ns/{name}"
    if os.readlink(path) == os.readlink(f"/proc/self/ns/{name}"):
        return None
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _execute(library: Any, spec: dict[str, Any], words: list[str]) -> None:
    """In the child, which is in the sandbox: gives up what it got by entering."""
    try:
        os.chdir(spec["folder"])
        _check(library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
        kept = spec["capabilities"]
        header = _Header(_CAPABILITIES_3, 0)
        # Effective, permitted, inheritable: the lower halves, then the upper ones.
        sets = (ctypes.c_uint32 * 6)(*([kept & 0xFFFFFFFF] * 3), *([kept >> 32] * 3))
        _check(library.capset(ctypes.byref(header), sets))
        if spec["filter"]:
            code = bytes.fromhex(spec["filter"])
            buffer = ctypes.create_string_buffer(code, len(code))
            program = _Program(len(code) // 8, ctypes.addressof(buffer))
            _check(library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0))
        os.execvp(words[0], words)
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror or error}\n")
        sys.stderr.flush()
    os._exit(_NOT_FOUND)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        try:
            sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
        except OSError as error:
            sys.exit(f"its sandbox cannot be entered: {error.strerror or error}")
