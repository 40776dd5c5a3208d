"""The records of one source, and what each came to; the last good one stays until a better one is here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from manifests.model.snapshot import Declared
from manifests.sources.journal import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hyper.port import Drive, Record, RecordPath
    from manifests.documents.record import Recorded
    from manifests.sources.judging import Judge, Judgement


@dataclass(slots=True)
class Entry:
    """One record. `good` is the one that `declared` comes from: `newest`, or an older one."""

    newest: Record
    judgement: Judgement
    good: Record | None = None
    recorded: Recorded | None = None
    declared: Declared | None = None


class Entries:
    """All of a source, by path. Whatever happens to one has no influence on another."""

    def __init__(self, base: str) -> None:
        self.by_path: dict[RecordPath, Entry] = {}
        self._base = base
        self._order: list[RecordPath] | None = None
        self._waiting: dict[Drive, set[RecordPath]] = {}

    @property
    def waits_for(self) -> frozenset[Drive]:
        return frozenset(self._waiting)

    @property
    def has_services(self) -> bool:
        return any(entry.declared for entry in self.by_path.values())

    def drives(self) -> set[Drive]:
        """Everything that is needed, here or not."""
        found = set(self._waiting)
        for entry in self.by_path.values():
            if entry.recorded and entry.recorded.drive:
                found.add(entry.recorded.drive)
        return found

    def in_order(self) -> Iterable[Entry]:
        if self._order is None:
            self._order = sorted(self.by_path)
        return (self.by_path[path] for path in self._order)

    def waiting(self, drives: Iterable[Drive]) -> set[RecordPath]:
        """Who waits for one of these."""
        return {path for drive in drives for path in self._waiting.get(drive, ())}

    # -- changes; each says what to keep of it

    def restore(self, newest: Record, good: Record | None, judge: Judge) -> None:
        """From an earlier life. What was good then need not be allowed any more."""
        path = newest.path
        entry = self._entry(newest, judge)
        if good is not None and good is not newest and _is_pending(entry.judgement):
            self._declare(entry, good, judge.look(good), judge)
        self._put(path, entry)

    def put(self, record: Record, judge: Judge) -> Line:
        """The record is this one now."""
        before = self.by_path.get(record.path)
        entry = self._entry(record, judge, before)
        if before is not None and _is_pending(entry.judgement):
            entry.good, entry.recorded, entry.declared = before.good, before.recorded, before.declared
        self._put(record.path, entry)
        return Line(record.path, record, good=entry.good is record)

    def remove(self, path: RecordPath) -> Line:
        """The record was deleted, and its service with it."""
        if (entry := self.by_path.pop(path, None)) is not None:
            self._unwait(path, entry)
            self._order = None
        return Line(path, None, good=False)

    def judge_again(self, path: RecordPath, judge: Judge) -> Line | None:
        """The place, the policy or the packages are not what they were. None: nothing new to keep."""
        before = self.by_path[path]
        entry = self._entry(before.newest, judge, before)
        if before.good is not None and _is_pending(entry.judgement):
            self._declare(entry, before.good, judge.look(before.good), judge, before)
        self._put(path, entry)
        if entry.good is before.good:
            return None
        return Line(path, entry.newest, good=entry.good is entry.newest)

    # -- inside

    def _entry(self, record: Record, judge: Judge, before: Entry | None = None) -> Entry:
        entry = Entry(record, judge.look(record))
        self._declare(entry, record, entry.judgement, judge, before)
        return entry

    def _declare(
        self, entry: Entry, record: Record, judgement: Judgement, judge: Judge, before: Entry | None = None
    ) -> None:
        """Keeps the very object where nothing is different."""
        if judgement.manifest is None:
            return
        file = f"{judge.source}:{judgement.manifest.id}"
        declared = Declared(judgement.manifest, self._base, file, policy=judge.policy)
        old = before.declared if before else None
        entry.good, entry.recorded = record, judgement.recorded
        entry.declared = old if old == declared and old is not None else declared

    def _put(self, path: RecordPath, entry: Entry) -> None:
        problem = entry.judgement.problem
        if problem is not None and entry.recorded is not None and problem.service != entry.recorded.id:
            # What nobody can read does not say whose it is; what it was before does.
            named = replace(problem, service=entry.recorded.id)
            entry.judgement = replace(entry.judgement, problem=named)
        before = self.by_path.get(path)
        if before is None:
            self._order = None
        else:
            self._unwait(path, before)
        self.by_path[path] = entry
        if (drive := entry.judgement.waits_for) is not None:
            self._waiting.setdefault(drive, set()).add(path)

    def _unwait(self, path: RecordPath, entry: Entry) -> None:
        if (drive := entry.judgement.waits_for) is not None:
            waiting = self._waiting[drive]
            waiting.discard(path)
            if not waiting:
                del self._waiting[drive]


def _is_pending(judgement: Judgement) -> bool:
    """It is for this node, and cannot be declared (yet)."""
    return judgement.waits_for is not None or judgement.problem is not None
