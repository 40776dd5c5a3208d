"""The core services that the config file declares, as a source like any other.

The file is config.toml, or Atek's own config.json, whose services are written a little differently:
`sourceUrl` for the package, `config` for the environment. The node's other settings are in the same file and
are none of this module's business.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from manifests.documents.document import BrokenText, Document
from manifests.documents.parse import Parsed, parse_manifest
from manifests.documents.text import read_documents
from manifests.model.manifest import Manifest
from manifests.model.snapshot import Declared, Problem, Snapshot
from manifests.sources.folder import FolderSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from manifests.documents.document import LineOf
    from manifests.documents.document import Path as KeyPath
    from manifests.sources.last_good import LastGood

#: In the order in which they are preferred.
CONFIG_FILES = ("config.toml", "config.json")
_KEY = "coreServices"
_OTHER_WORDS = {"sourceUrl": "source", "desiredVersion": "version", "config": "env"}


class ConfigSource:
    """A `Source` of the config file in a node's home.

    `shipped` are the core services (plain manifests) of a home whose file says nothing of core services, or
    that has no such file.
    """

    def __init__(
        self, home: Path, last_good: LastGood | None = None, shipped: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        existing = (name for name in CONFIG_FILES if (home / name).exists())
        path = home / next(existing, CONFIG_FILES[0])
        self._shipped = tuple(
            Declared(Manifest.model_validate(each), str(home), str(path)) for each in shipped
        )
        self._file = FolderSource(path, "config", last_good, "config", parse=self._parse, optional=True)
        self._silent = True
        self._nothing = self._file.snapshot.revision

    @property
    def name(self) -> str:
        return self._file.name

    @property
    def snapshot(self) -> Snapshot:
        found = self._file.snapshot
        if found.known and (self._silent or found.revision == self._nothing):
            return replace(found, services=self._shipped)
        return found

    async def scan(self) -> None:
        """See `Source`."""
        await self._file.scan()

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `Source`. Watches the file that was there when the node started, or config.toml."""
        await self._file.watch(changed)

    def _parse(
        self, text: str, file: str, suffix: str, *, kept: Mapping[str, str | None] | None = None
    ) -> Parsed:
        # A mistake in the core services says all the same that they are not the shipped ones.
        with suppress(BrokenText):
            self._silent = not mentions_core_services(text, suffix)
        return parse_config(text, file, suffix)


def mentions_core_services(text: str, suffix: str) -> bool:
    """Whether a config file that can be read says which they are, and be it none."""
    documents = read_documents(text, suffix)
    return bool(documents) and isinstance(documents[0].value, dict) and _KEY in documents[0].value


def parse_config(text: str, file: str, suffix: str) -> Parsed:
    """The core services of a config file's text; none when it has no such key."""
    try:
        documents = read_documents(text, suffix, spelled=True)
    except BrokenText as error:
        return Parsed((), (Problem(error.message, file, error.line, error.key, error.hint),))
    if not documents or not isinstance(documents[0].value, dict):
        return Parsed()
    services = documents[0].value.get(_KEY, [])
    if not isinstance(services, list):
        line = documents[0].line_of((_KEY,))
        return Parsed((), (Problem("it must be a list of services", file, line, _KEY, "[[coreServices]]"),))
    return _parse_services(services, file, documents[0])


def _parse_services(services: list[Any], file: str, document: Document) -> Parsed:
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for index, service in enumerate(services):
        line_of = _below(document.line_of, index)
        value, wrong = _translate(service, file, line_of)
        if not wrong:
            manifest, wrong = parse_manifest(value, file, line_of)
            manifests += [manifest] if manifest else []
        problems += wrong
    return Parsed((), tuple(problems)) if problems else Parsed(tuple(manifests))


def _translate(service: Any, file: str, line_of: LineOf) -> tuple[Any, tuple[Problem, ...]]:
    """Atek's words for a service into a manifest's."""
    if not isinstance(service, dict):
        return service, ()
    name = service.get("id") if isinstance(service.get("id"), str) else ""
    for theirs, ours in _OTHER_WORDS.items():
        if theirs in service and ours in service:
            where = line_of((theirs,))
            return None, (Problem(f"{ours} says the same", file, where, theirs, "leave one out", name or ""),)
    value = {_OTHER_WORDS.get(key, key): item for key, item in service.items()}
    if isinstance(service.get("config"), dict):
        value["env"] = {str(key).upper(): item for key, item in service["config"].items()}
    if isinstance(source := service.get("sourceUrl"), str) and source.startswith("file://"):
        value["source"] = source.removeprefix("file://")
    return value, ()


def _below(line_of: LineOf, index: int) -> LineOf:
    def line(path: KeyPath) -> int | None:
        ours_to_theirs = {ours: theirs for theirs, ours in _OTHER_WORDS.items()}
        found = line_of((_KEY, index, *path))
        if path and path[0] in ours_to_theirs:
            other = line_of((_KEY, index, ours_to_theirs[str(path[0])], *path[1:]))
            return max(found or 0, other or 0) or None
        return found

    return line
