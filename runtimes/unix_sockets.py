"""Connects to the very socket of an instance, whatever its program puts in the place of it.

A program may write where its socket is. A link there would lead the node and its router, which may do more
than any service, to the engine's socket, or to another service's. So the last step of the path is never a
link: what is found there is held by a descriptor, and connected to by that.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def the_socket_at(path: str) -> Iterator[str]:
    """A path of the socket that is good inside the block. Raises OSError where there is none."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ECONNREFUSED, "what is there is no socket", path)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
