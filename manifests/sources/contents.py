"""What the files of a source say, file by file, and what they said when they were last good."""

from __future__ import annotations

import bisect
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from manifests.documents.document import BrokenText
from manifests.documents.parse import Parsed
from manifests.model.snapshot import INTERNAL_ERROR, Declared, Problem
from manifests.packages.resolve import secret_paths
from manifests.sources.listing import UNREADABLE, Signature, read_text, sign
from manifests.sources.trust import distrust

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from manifests.sources.last_good import Kept, LastGood


class Parser(Protocol):
    """What a text says. `kept`: what lay beside the file when it said so."""

    def __call__(
        self, text: str, file: str, suffix: str, *, kept: Mapping[str, str | None] | None = None
    ) -> Parsed: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `digest` is of its name, its text and what it depends on; 0 when it could not be read."""

    signature: Signature
    digest: int
    declared: tuple[Declared, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as it was just read; `text` is None when it could not be."""

    name: str
    signature: Signature
    text: str | None
    parsed: Parsed
    beside: tuple[tuple[str, Signature | None], ...] = ()


class Contents:
    """The files of one folder. `changed` is set by each change that others should hear of."""

    def __init__(self, folder: str, parse: Parser, last_good: LastGood | None) -> None:
        self.entries: dict[str, Entry] = {}
        self.changed = False
        self._folder = folder
        self._parse = parse
        self._last_good = last_good
        self._digest = 0
        # Kept up to date, so that a change to one of many files costs little.
        self._names: list[str] = []
        self._troubled: set[str] = set()
        self._linked: set[str] = set()
        #: What each file depends on, as it was.
        self._beside: dict[str, dict[str, Signature | None]] = {}

    @property
    def revision(self) -> str:
        """A digest of all names and texts, kept up to date file by file."""
        return f"{self._digest:016x}"

    def services(self) -> tuple[Declared, ...]:
        """All services, in the order of the files' names."""
        return tuple([one for name in self._names for one in self.entries[name].declared])

    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of the files' names; a file of secrets is no broken manifest."""
        secret = self._secret_files() if self._troubled else set()
        names = sorted(name for name in self._troubled if self.path(name) not in secret)
        return tuple(one for name in names for one in self.entries[name].problems)

    def warnings(self) -> tuple[Problem, ...]:
        """What the files say and may not mean, in the order of their names."""
        return tuple(one for name in self._names for one in self.entries[name].warnings)

    def _secret_files(self) -> set[str]:
        """What the services name for their secrets."""
        return {path for one in self.services() for path in secret_paths(one, "file").values()}

    def linked(self) -> tuple[str, ...]:
        """The names that are symbolic links."""
        return tuple(self._linked)

    def depending(self, names: Iterable[str]) -> set[str]:
        """The files that depend on what other files of these names say."""
        paths = {self.path(name) for name in names}
        return {name for name, beside in self._beside.items() if not paths.isdisjoint(beside)}

    def beside(self, name: str) -> Literal["same", "changed", "vanished"]:
        """What is true of the files that this one depends on, since it was read."""
        known = self._beside.get(name, {})
        now = {path: sign(path) for path in known}
        if any(known[path] is not None and now[path] is None for path in known):
            return "vanished"
        return "same" if now == known else "changed"

    def read(self, files: Iterable[tuple[str, Signature]]) -> list[Reading]:
        """Reads and parses these files, without those that vanished. Changes nothing: a thread may do it."""
        readings = (self._read(name, signature) for name, signature in files)
        return [reading for reading in readings if reading is not None]

    def apply(self, reading: Reading, device: int) -> None:
        """Takes a reading over. A broken file keeps the services that it had when it was last good."""
        name, parsed = reading.name, reading.parsed
        self._beside[name] = dict(reading.beside)
        before = self.entries.get(name)
        digest = _digest(name, reading.text, parsed.beside) if reading.text is not None else 0
        if before and before.digest == digest and before.problems == parsed.problems:
            self._store(
                name, Entry(reading.signature, digest, before.declared, before.problems, before.warnings)
            )
            return
        if parsed.problems:
            declared = before.declared if before else self.last_good_of(name)
        else:
            declared = self._declare(name, parsed, before.declared if before else ())
            if self._last_good and reading.text is not None:
                self._last_good.keep(name, reading.text, device, dict(parsed.beside))
        self._put(name, Entry(reading.signature, digest, declared, parsed.problems, parsed.warnings))

    def remove(self, name: str) -> None:
        """The file was deleted, and its services with it."""
        if entry := self.entries.pop(name, None):
            self._digest ^= entry.digest
            self._beside.pop(name, None)
            self._names.remove(name)
            self._troubled.discard(name)
            self._linked.discard(name)
            self.changed = True
        if self._last_good:
            self._last_good.forget(name)

    def restore(self) -> None:
        """Brings back all that was last good, to be compared with the files when they return."""
        for name, kept in self._last_good.load_all().items() if self._last_good else ():
            self._put(name, Entry(UNREADABLE, 0, self._declare(name, self._said(name, kept), ()), ()))

    def last_good_of(self, name: str) -> tuple[Declared, ...]:
        """What a file said when an earlier life of this node could read it."""
        kept = self._last_good.load(name) if self._last_good else None
        if kept is None:
            return ()
        return self._declare(name, self._said(name, kept), ())

    def path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _put(self, name: str, entry: Entry) -> None:
        before = self.entries.get(name)
        self._digest ^= entry.digest ^ (before.digest if before else 0)
        self._store(name, entry)
        self.changed = True

    def _store(self, name: str, entry: Entry) -> None:
        if name not in self.entries:
            bisect.insort(self._names, name)
        self.entries[name] = entry
        (self._troubled.add if entry.problems else self._troubled.discard)(name)
        (self._linked.add if entry.signature.linked else self._linked.discard)(name)

    def _read(self, name: str, seen: Signature) -> Reading | None:
        path = self.path(name)
        try:
            refuse_folder(name, os.path.dirname(path))
            text, signature = read_text(path)
        except FileNotFoundError:
            return None
        except BrokenText as error:
            problem = Problem(error.message, path, error.line, error.key, error.hint)
            return Reading(name, seen, None, Parsed((), (problem,)))
        parsed = self._parsed(name, text)
        return Reading(name, signature, text, parsed, tuple((each, sign(each)) for each, _ in parsed.beside))

    def _said(self, name: str, kept: Kept) -> Parsed:
        return self._parsed(name, kept.text, kept.beside)

    def _parsed(self, name: str, text: str, kept: Mapping[str, str | None] | None = None) -> Parsed:
        """Whatever is wrong with one file, the others are read."""
        path = self.path(name)
        try:
            return self._parse(text, path, os.path.splitext(name)[1], kept=kept)
        except Exception as error:
            return Parsed((), (Problem(f"{type(error).__name__}: {error}", path, reason=INTERNAL_ERROR),))

    def _declare(self, name: str, parsed: Parsed, before: tuple[Declared, ...]) -> tuple[Declared, ...]:
        """Keeps the object of every service that the file declares as it did before."""
        known = {one.manifest.id: one for one in before}
        path = self.path(name)
        base = os.path.dirname(path)
        declared = []
        for manifest in parsed.manifests:
            old = known.get(manifest.id)
            same = old is not None and old.manifest == manifest
            declared.append(old if same and old else Declared(manifest, base, path))
        return tuple(declared)


def refuse_folder(name: str, folder: str) -> None:
    """Raises BrokenText where others can write the folder below that a file is in."""
    if os.sep not in name:
        return
    try:
        why = distrust(folder)
    except OSError as error:
        raise BrokenText(f"{folder} cannot be read: {error.strerror}") from error
    if why is not None:
        raise BrokenText(why.message, hint=why.hint)


def _digest(name: str, text: str, beside: tuple[tuple[str, str | None], ...]) -> int:
    data = f"{name}\0{text}{beside or ''}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
