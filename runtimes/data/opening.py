"""Opens what lies below a folder that a program may change meanwhile: never by a link, never outside of it.

openat2(2) has the kernel see to it (Linux 5.6); where there is none, each folder on the way is opened from
the one before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The same on all architectures (syscalls since 5.1 are).
_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_HOW = struct.Struct("QQQ")
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(root: Path | int, name: str, flags: int) -> int:
    """A descriptor of what `name` is below the folder `root`, which itself may be a link of the node's own.

    Raises OSError: ELOOP or ENOTDIR for a link on the way, or at its end.
    """
    if isinstance(root, int):
        return _open(root, name, flags)
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _open(descriptor, name, flags)
    finally:
        os.close(descriptor)


@contextmanager
def folder_beneath(root: Path, name: str) -> Iterator[int]:
    """The folder that holds `name` below `root`, to do something to an entry of it. Raises OSError."""
    above, _, _ = name.rpartition("/")
    descriptor = open_beneath(root, above or ".", _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def unlink_beneath(root: Path, name: str) -> None:
    """Raises OSError; also where a folder on the way is a link."""
    with folder_beneath(root, name) as folder:
        os.unlink(os.path.basename(name), dir_fd=folder)


def rename_beneath(root: Path, name: str, other: str) -> None:
    """Within its folder: `other` is a name, not a path. Raises OSError."""
    with folder_beneath(root, name) as folder:
        os.replace(os.path.basename(name), other, src_dir_fd=folder, dst_dir_fd=folder)


def make_folder_beneath(root: Path, name: str) -> None:
    """Raises OSError."""
    with folder_beneath(root, name) as folder:
        os.mkdir(os.path.basename(name), dir_fd=folder)


def _open(root: int, name: str, flags: int) -> int:
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    how = _HOW.pack(flags, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    found = _libc.syscall(_OPENAT2, root, os.fsencode(name), how, len(how))
    if found >= 0:
        return int(found)
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EPERM):
        # An old kernel, or a filter of system calls that does not know it.
        return _step_by_step(root, name, flags)
    raise OSError(number, os.strerror(number), name)


def _step_by_step(root: int, name: str, flags: int) -> int:
    *above, last = name.split("/")
    if ".." in (*above, last) or name.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    here = os.dup(root)
    try:
        for step in above:
            below = os.open(step, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        return os.open(last, flags, dir_fd=here)
    finally:
        os.close(here)
