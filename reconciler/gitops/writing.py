"""A value written back: a commit of its own, on top of what the branch is at that moment, and pushed.

    look ─► fetch ─► lay out ─► edit ─► commit, in the mirror ─► push ─► a look of the source
      ▲                                                            │
      └──────── somebody else was first: the same on top ◄─────────┘

Nothing is ever forced: a server takes the commit as the branch's next, or not at all. Until it has it, the
commit is an object of the mirror that nobody refers to, so whoever is killed in between begins anew, and
finds that there is nothing to do once the branch says what it should.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.documents.editing import edit
from manifests.sources.formats import parse_manifests
from reconciler.gitops.committing import NOT_WRITABLE, RACED, Said
from reconciler.gitops.reading import read_folder, root_name
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.model.git_source import GitSource
    from manifests.model.manifest import Manifest
    from manifests.model.nodes import Place
    from reconciler.decide.updating import Edit
    from reconciler.gitops.repository import Repository

#: Times that others may be first, and seconds after the first of them; doubled each time.
ATTEMPTS, PAUSE = 6, 0.25
_BOM = b"\xef\xbb\xbf"


def refusal(source: GitSource) -> str:
    """Why nothing is written into a source's repository, whatever it is; empty if something may be."""
    if source.trust != "own":
        return "its repository is not this node's own (trust = foreign)"
    if source.suspend:
        return "it is suspended"
    if source.verify is not None:
        return "it takes signed commits only (verify), and this node signs none"
    if source.ref.commit or source.ref.is_tag:
        return f"it follows {source.ref}, which is no branch that could go on"
    return ""


async def write_back(
    repository: Repository,
    source: GitSource,
    place: Place,
    service_id: str,
    change: Edit,
    *,
    wall: Callable[[], float],
    jitter: Callable[[], float],
) -> str:
    """The commit that was pushed; empty where the branch says something else by now. Raises GitTrouble."""
    if why := refusal(source):
        raise GitTrouble(NOT_WRITABLE, f"source {source.name}: {why}")
    path, pause = source.folder(place.name), PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        seen = await repository.look(source.ref)
        await repository.fetch(seen, path)
        folder = await repository.checkout(seen.commit, path)
        work = partial(_edited, str(folder), repository, source, place, service_id, change)
        if (edited := await anyio.to_thread.run_sync(work)) is None:
            return ""
        file, data = edited
        said = Said(author_of(source, place), _message(service_id, change, place), wall())
        try:
            return await repository.write(seen, os.path.join(path, file), data, said)
        except GitTrouble as trouble:
            if trouble.reason != RACED or attempt == ATTEMPTS:
                raise
        await anyio.sleep(pause * (0.5 + jitter()))
        pause *= 2
    raise AssertionError("unreachable")


def author_of(source: GitSource, place: Place) -> str:
    """As whom the node commits."""
    name = place.name or "node"
    return source.author or f"Atek on {name} <atek@{name}>"


def _message(service_id: str, change: Edit, place: Place) -> str:
    subject = f"Update {service_id} to {change.after.partition('@')[0]}"
    where = place.name or "a node"
    return f"{subject}\n\n{change.key}: {change.before} -> {change.after}, which runs on {where}.\n"


def _edited(
    folder: str, repository: Repository, source: GitSource, place: Place, service_id: str, change: Edit
) -> tuple[str, bytes] | None:
    """The file below the folder, and its bytes with the change; None where there is none to make."""
    ids = repository.ids
    reading = read_folder(folder, source, place, trees=repository.trees, ids=ids)
    if reading.problems:
        told = f"the newest commit of source {source.name} is broken: {reading.problems[0]}"
        raise GitTrouble(NOT_WRITABLE, told, hint="mend it first")
    declared = next((each for each in reading.services if each.manifest.id == service_id), None)
    if declared is None or getattr(declared.manifest, change.key) != change.before:
        return None
    file = declared.file.removeprefix(f"{source.name}:")
    path = os.path.join(folder, file)
    data = Path(path).read_bytes()
    mark, text = (_BOM, data[3:]) if data.startswith(_BOM) else (b"", data)

    def reads(edited: str) -> tuple[Manifest, ...]:
        root = root_name(source, path, folder)
        return parse_manifests(edited, path, os.path.splitext(path)[1].lower(), ids=ids, root=root).manifests

    edited = edit(text.decode(), reads, service_id, change.key, change.after)
    if edited is None:
        message = f"{declared.file} does not have {change.before} as one value of {service_id} alone"
        raise GitTrouble(NOT_WRITABLE, message, hint=f"write {change.after} there yourself")
    return file, mark + edited.encode()
