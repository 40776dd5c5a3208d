"""Which sources a node has, in their order of precedence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifests.sources.config import ConfigSource
from manifests.sources.folder import FolderSource
from manifests.sources.last_good import LastGood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from manifests.model.snapshot import Source


def make_sources(
    home: Path,
    paths: Sequence[Path],
    snapshots: Path | None,
    shipped: Sequence[Mapping[str, Any]] = (),
) -> list[Source]:
    """The config file, the home's own manifests, then what the command line names.

    `shipped` are the core services of a node whose config file names none. `snapshots` is the
    folder of last good copies; without one nothing is read from there or written.
    """

    def last_good(name: str) -> LastGood | None:
        return LastGood(snapshots, name) if snapshots else None

    sources: list[Source] = [ConfigSource(home, last_good("config"), shipped)]
    folders = [("manifests", home / "manifests"), *((str(path), path) for path in paths)]
    sources += [FolderSource(path, name, last_good(name)) for name, path in folders]
    return sources
