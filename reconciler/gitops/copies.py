"""What containers see of their repository: copies by their content, which later commits leave alone.

In a Git source `./conf:/etc/conf` of a Compose file means the folder, or the file, at that commit. The copy
is named by a digest of what is in it: a commit which does not change that changes no service, and what runs
keeps what it began with for as long as anything runs, or may run again, from it. Nobody writes there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from manifests.model.containers import host_folders, parse_volume
from reconciler.gitops.checkout import begin, complete, give_up, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from manifests.model.policy import Policy
    from manifests.model.snapshot import Declared

#: How their folders end, beside those of commits; and what is in each.
SUFFIX, CONTENT = "-copy", "content"


@dataclass(frozen=True, slots=True)
class Copy:
    """`source` is the folder or file in a commit, `place` where its copy is, or will be."""

    source: str
    place: Path


def with_copies(declared: Declared, trees: Path) -> tuple[Declared, tuple[Copy, ...]]:
    """The declaration with copies below `trees` for what it mounts of its own folder. Raises OSError.

    What is elsewhere, or not there at all, stays as it is written.
    """
    manifest = declared.manifest
    if manifest.project is None:
        return declared, ()
    found: list[Copy] = []
    volumes: list[str] = []
    for written in manifest.volumes:
        volume = parse_volume(written)
        if volume.source.startswith("/") and (source := _own(volume.source, declared.base)):
            copy = Copy(source, trees / f"{_digest(source)}{SUFFIX}")
            found.append(copy)
            written = f"{copy.place / CONTENT}:{volume.target}:ro"
        volumes.append(written)
    if not found:
        return declared, ()
    return replace(declared, manifest=manifest.model_copy(update={"volumes": tuple(volumes)})), tuple(found)


def seeing(policy: Policy, copies: Iterable[Copy]) -> Policy:
    """The same policy, by which nobody has to be asked for what came with the manifest."""
    more = tuple(f"{each.place / CONTENT}:ro" for each in copies)
    allowed = policy.whole.binds
    if allowed is None or not more:
        return policy
    return policy.model_copy(update={"binds": (*allowed, *more)})


def mounted(services: Iterable[Declared]) -> set[str]:
    """What services mount of this machine, copies among it."""
    return {folder for each in services for folder in host_folders(each.manifest.volumes)}


def make(copy: Copy) -> None:
    """Makes one that is not there, whole or not at all. For threads. Raises OSError."""
    if is_whole(copy.place):
        return
    try:
        content = begin(copy.place, "") / CONTENT
        if os.path.isdir(copy.source):
            shutil.copytree(copy.source, content, symlinks=True)
        else:
            shutil.copy2(copy.source, content)
        complete(copy.place)
    finally:
        give_up(copy.place)


def _own(path: str, base: str) -> str:
    """Where it is, if that is in the folder and there; empty otherwise."""
    found, folder = os.path.realpath(path), os.path.realpath(base)
    inside = os.path.commonpath((found, folder)) == folder
    return found if inside and (os.path.isdir(found) or os.path.isfile(found)) else ""


def _digest(path: str) -> str:
    """Of names, contents, links and what may be executed."""
    digest = hashlib.sha256()
    for name, at in _walk(path):
        if os.path.islink(at):
            said = b"link", os.fsencode(os.readlink(at))
        elif os.path.isdir(at):
            said = b"folder", b""
        else:
            with open(at, "rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            said = b"program" if os.stat(at).st_mode & 0o111 else b"file", content
        for part in (os.fsencode(name), *said):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _walk(path: str, name: str = "") -> Iterator[tuple[str, str]]:
    yield name, path
    if os.path.isdir(path) and not os.path.islink(path):
        for each in sorted(os.listdir(path)):
            yield from _walk(os.path.join(path, each), f"{name}/{each}")
