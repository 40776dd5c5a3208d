"""Descriptors of what bubblewrap is to mount, opened without following links that nobody may be led by."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.sandbox.command import Held, is_below
from runtimes.sandbox.places import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

#: Any folder or file, for mounting it; opening it so has no effect on it (open(2), O_PATH).
_HOLD = os.O_PATH | os.O_CLOEXEC


class Hold:
    """Opens what bubblewrap is to mount, for as long as `opened`."""

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened

    def keep(self, descriptor: int) -> int:
        self._opened.callback(os.close, descriptor)
        return descriptor

    def text(self, name: str, content: bytes) -> int:
        """A file in memory, to be read from its beginning."""
        descriptor = self.keep(os.memfd_create(name))
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def files(self, texts: Mapping[str, str]) -> list[Held]:
        """Files in memory, by the paths where they are seen."""
        return [Held(self.text("file", text.encode()), path) for path, text in texts.items()]

    def texts(self, copied: Iterable[str], made: Sequence[Held]) -> list[Held]:
        """Files of this machine whose content is shown, and in their place those that were made."""
        own = {held.path for held in made}
        found = []
        for path in copied:
            # One that cannot be read is nothing for the program either.
            with suppress(OSError):
                if path not in own:
                    found.append(Held(self.keep(os.open(path, os.O_RDONLY | os.O_CLOEXEC)), path))
        return [*found, *made]

    def folder(self, path: Path, *, writable: bool = True) -> Held:
        descriptor = self.keep(os.open(path, _HOLD | os.O_DIRECTORY | os.O_NOFOLLOW))
        return Held(descriptor, os.fspath(path), writable)

    def real(self, path: str, real: str, *, writable: bool) -> Held:
        """What was found at `real`, seen at `path`."""
        descriptor = self.keep(os.open(real, _HOLD | os.O_DIRECTORY | os.O_NOFOLLOW))
        if os.readlink(f"/proc/self/fd/{descriptor}") != real:
            raise _refused(path, real)
        return Held(descriptor, path, writable)

    def data(self, path: Path, others: Sequence[str]) -> Held:
        """Its data folder. A link may stand for it where it leads to what the program sees in any case."""
        if not os.path.islink(path):
            return self.folder(path)
        held = self.existing(os.fspath(path), others)
        if held is None:
            raise _refused(os.fspath(path), os.path.realpath(path))
        return held

    def temporary(self, data: Held) -> Held | None:
        """The tmp folder of its data, made if it is not there; None where something else is."""
        with suppress(FileExistsError):
            os.mkdir("tmp", 0o700, dir_fd=data.descriptor)
        with suppress(OSError):
            flags = _HOLD | os.O_DIRECTORY | os.O_NOFOLLOW
            return Held(self.keep(os.open("tmp", flags, dir_fd=data.descriptor)), TEMPORARY)
        return None

    def existing(self, path: str, others: Iterable[str], *, writable: bool = True) -> Held | None:
        """What is there, wherever links lead; None for what is in one of these folders, or nowhere."""
        try:
            descriptor = os.open(path, _HOLD)
        except OSError:
            return None
        self.keep(descriptor)
        if is_below(os.readlink(f"/proc/self/fd/{descriptor}"), others):
            return None
        return Held(descriptor, path, writable)

    def granted(self, path: str, others: Sequence[str], service: str, *, writable: bool) -> Held:
        """What an owner lets a strict program see."""
        held = self.existing(path, others, writable=writable)
        if held is None and os.path.exists(path):
            raise PermanentFailure(
                "BindRefused", f"{service} may not see {path}: it is the node's own", hint="correct binds"
            )
        if held is None:
            raise RuntimeFailure("BindNotFound", f"there is no {path} for {service} to see", hint="make it")
        return held


def _refused(path: str, real: str) -> PermanentFailure:
    return PermanentFailure(
        "FolderIsLink",
        f"{path} is a link to {real}, which a sandboxed program is not shown",
        hint="put the folder itself there; a bind mount is one",
    )
