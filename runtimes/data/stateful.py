"""What a program has kept: whether two writers at a time would put it at risk.

    data/<id>/      its data folder, but for tmp/, caches and logs
    its copy        what it wrote beside its code, but for the same

Looked at when an update begins and when a person asks, never while nothing happens.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from manifests.model.containers import parse_volume
from manifests.model.ignored import is_ignored
from runtimes.base import Kept
from runtimes.data.carry import FROM_PACKAGE, read_carried
from runtimes.data.retention import Copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths

#: So many of the files are named.
_NAMES = 5
#: What programs make again by themselves, and what nobody misses: by name, at any depth of a data folder.
_NO_DATA = re.compile(r"(?i)(tmp|temp|\.?caches?|\.npm|\.yarn|logs?|.*\.(log|pid|sock|lock))(\.\d+)?(\.gz)?")


def look(paths: Paths, service: Service, copy: Path | None) -> Kept:
    """`copy` is where it runs, if that is a copy of its package. Raises OSError."""
    what = keeps(paths, service)
    if copy is None:
        return Kept(what)
    carried = read_carried(copy)
    state = Copy(copy, service).written().state()
    names = sorted(state)
    data = next((name for name in names if is_data(name)), "")
    return Kept(
        what or (f"it keeps files beside its code ({data})" if data else ""),
        len(state),
        sum(size for size, _ in state.values()),
        tuple(names[:_NAMES]),
        os.fspath(copy),
        tuple(name for name in (carried.conflicts if carried else ()) if _is_beside(copy, name)),
    )


def _is_beside(copy: Path, name: str) -> bool:
    return os.path.lexists(copy / f"{name}{FROM_PACKAGE}")


def is_data(name: str) -> bool:
    """Whether a file of that path is no cache and no log."""
    return not any(_NO_DATA.fullmatch(part) or is_ignored(part) for part in name.split("/"))


def keeps(paths: Paths, service: Service) -> str:
    """Where a service has kept something, in a few words; empty when it has nowhere.

    Of a container's volumes only those are seen that its manifest names.
    """
    found = next(files_below(paths.data(service.id)), None)
    if found is not None:
        return f"it keeps files in data/{service.id} ({found})"
    volumes = [each for each in map(parse_volume, service.manifest.volumes) if not each.read_only]
    outside = [each.source for each in volumes if not each.source.startswith(".")]
    return f"it has the volume {outside[0]}" if outside else ""


def files_below(folder: Path) -> Iterator[str]:
    """The relative paths of all data in a data folder, the nearest first. What vanishes is left out."""
    waiting = [("", os.fspath(folder))]
    for prefix, path in waiting:
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in found:
            if _NO_DATA.fullmatch(entry.name) or is_ignored(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{prefix}{entry.name}/", entry.path))
            else:
                yield f"{prefix}{entry.name}"
