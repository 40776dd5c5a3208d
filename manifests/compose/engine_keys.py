"""Keys of a Compose service that mean something to the engine alone: what they say is passed on. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import boolean, items, size, table, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path


def _engine(key: str, read: Callable[[Any, Path], Any]) -> Callable[[Translation, Any, Path], None]:
    def translate(of: Translation, value: Any, path: Path) -> None:
        if value is not None:
            of.engine[key] = read(value, path)

    return translate


def _size(value: Any, path: Path) -> int | None:
    """0 is the engine's own."""
    return size(value, path) or None


def _tmpfs(of: Translation, value: Any, path: Path) -> None:
    of.engine["tmpfs"] = [text(item, here) for item, here in items(value, path)]


def _extra_hosts(of: Translation, value: Any, path: Path) -> None:
    """A table, or a list with = or : between the two."""
    if isinstance(value, dict):
        of.engine["extraHosts"] = [
            f"{name}:{text(address, here)}"
            for name, given in value.items()
            for address, here in items(given, (*path, str(name)))
        ]
        return
    written = [text(item, here) for item, here in items([] if value is None else value, path)]
    of.engine["extraHosts"] = [re.sub(r"^([^=:]+)=", r"\1:", each) for each in written]


def _logging(_of: Translation, value: Any, path: Path) -> None:
    """The node keeps what a container prints itself, within bounds."""
    table(value, path)


ENGINE: Mapping[str, Callable[[Translation, Any, Path], None]] = {
    "hostname": _engine("hostname", text),
    "domainname": _engine("domainname", text),
    "init": _engine("init", boolean),
    "stdin_open": _engine("stdinOpen", boolean),
    "working_dir": _engine("workingDir", text),
    "shm_size": _engine("shmSize", _size),
    "tmpfs": _tmpfs,
    "extra_hosts": _extra_hosts,
    "logging": _logging,
}
