"""Which sources a node has, in their order of precedence."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from manifests.sources.config import ConfigSource
from manifests.sources.folder import FolderSource
from manifests.sources.formats import parse_manifests
from manifests.sources.last_good import LastGood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from manifests.compose.ids import KeptIds
    from manifests.model.snapshot import Source


def make_sources(
    home: Path,
    paths: Sequence[Path],
    snapshots: Path | None,
    shipped: Sequence[Mapping[str, Any]] = (),
    ids: KeptIds = MappingProxyType({}),
) -> list[Source]:
    """The config file, the home's own manifests, then what the command line names.

    `shipped` are the core services of a node whose config file names none. `snapshots` is the
    folder of last good copies; without one nothing is read from there or written. `ids`: see
    `compose.Around`.
    """

    def last_good(name: str) -> LastGood | None:
        return LastGood(snapshots, name) if snapshots else None

    sources: list[Source] = [ConfigSource(home, last_good("config"), shipped)]
    parse = partial(parse_manifests, ids=ids)
    sources += [
        FolderSource(path, name, last_good(name), parse=parse) for name, path in source_folders(home, paths)
    ]
    return sources


def source_folders(home: Path, paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Where people write manifests, by the names of the sources."""
    return [("manifests", home / "manifests"), *((str(path), path) for path in paths)]
