"""Ids that services of Compose files had before ids began with their projects: `state/compose-ids.json`.

It is written once, by the first start that finds none, from what the home has kept of earlier lives: what was
healthy last, and what a Compose file in a folder says whose services have kept anything. From then on it
alone
counts, so that a service has one id for as long as its file is there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from manifests.compose.names import is_compose
from manifests.documents.document import BrokenText
from manifests.documents.text import read_tagged
from manifests.files import read_json, write_atomically
from manifests.sources.last_good import LastGood
from reconciler.state.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from manifests.compose.ids import KeptIds
    from manifests.model.manifest import Manifest

_FILE = "compose-ids.json"
_SNAPSHOTS = "snapshots"


def kept_ids(home: Path) -> KeptIds:
    """By project, also of a home that no node has run in since. Writes nothing; raises nothing."""
    found = _read(home)
    return _find(home, (), ()) if found is None else found


def is_settled(home: Path) -> bool:
    return _read(home) is not None


def settle(home: Path, folders: Sequence[tuple[str, Path]], more: Iterable[Manifest] = ()) -> KeptIds:
    """The same, on disk by now where that is possible: the next start finds the same again.

    `folders` are sources of an earlier life by their names, `more` what it declared besides.
    """
    found = _read(home)
    if found is None:
        found = _find(home, folders, more)
        file = home / "state" / _FILE
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(file, json.dumps({"projects": found}, indent=1).encode())
        except OSError:
            # Nothing of it is lost before a service of these is deleted.
            return found
    return found


def _read(home: Path) -> dict[str, list[str]] | None:
    """None where there is no such file, or it is damaged: then what was kept is looked through again."""
    try:
        value = read_json(home / "state" / _FILE)
        if value is None:
            return None
        return {str(project): [str(each) for each in ids] for project, ids in value["projects"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _find(home: Path, folders: Sequence[tuple[str, Path]], more: Iterable[Manifest]) -> dict[str, list[str]]:
    # Not at the top: once in a home's life.
    from manifests.compose.ids import of_earlier

    memories, _ = FileStore(home / "state" / "services").load()
    found: defaultdict[str, set[str]] = defaultdict(set)
    known = [memory.healthy.manifest for memory in memories.values() if memory.healthy]
    for manifest in (*known, *more):
        project = manifest.project
        if project is not None and of_earlier(manifest.id, project.name, project.aliases):
            found[project.name].add(manifest.id)
    # What never was healthy has its file to speak for it, where nobody else has the id.
    taken = {manifest.id for manifest in known}
    for source, path in folders:
        for project_name, ids in _declared(home, source, path):
            there = {each for each in ids if each not in taken and _has_kept(home, each, memories)}
            found[project_name] |= there
            taken |= there
    return {name: sorted(ids) for name, ids in sorted(found.items()) if ids}


def _declared(home: Path, source: str, path: Path) -> Iterable[tuple[str, list[str]]]:
    """The projects of a folder's Compose files, and their ids, as an earlier version read them last."""
    from manifests.compose.ids import former_ids

    for name, kept in sorted(LastGood(home / "state" / _SNAPSHOTS, source).load_all().items()):
        if is_compose(name, kept.text):
            folder = path if path.is_dir() else path.parent
            texts = [kept.text, *(text for text in (kept.beside or {}).values() if text)]
            declared, said = _services(texts)
            yield former_ids(declared, said, folder.resolve().name)


def _services(texts: Sequence[str]) -> tuple[list[str], str | None]:
    names: dict[str, None] = {}
    project: str | None = None
    for text in texts:
        for value in _tables(text):
            services = value.get("services")
            names |= dict.fromkeys(map(str, services if isinstance(services, dict) else ()))
            project = str(value["name"]) if value.get("name") is not None else project
    return list(names), project


def _tables(text: str) -> list[dict[str, Any]]:
    """Of what is YAML; other files lie beside a Compose file too."""
    try:
        documents = read_tagged(text, frozenset({"!reset", "!override"}))
    except BrokenText:
        return []
    return [each.value for each in documents if isinstance(each.value, dict)]


def _has_kept(home: Path, service_id: str, memories: Mapping[str, object]) -> bool:
    places = (home / "data" / service_id, home / "logs" / service_id)
    note = home / "state" / "volumes" / f"{service_id}.json"
    return service_id in memories or any(each.is_dir() for each in places) or note.exists()
