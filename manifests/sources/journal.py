"""What a source of records was last told, kept on disk as it comes: a line for each change.

A change is in the journal before anybody hears of it, so that what runs because of a record is never found
without it at the next start. Each line has a checksum. A journal that is damaged, or could not be written to
its end, is not whole: what it has may be used, what it lacks may not be taken for absent.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from hyper.port import Position, Record, Undecodable
from manifests.files import write_atomically
from manifests.model.snapshot import Problem
from manifests.sources.last_good import slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hyper.port import RecordPath

DAMAGED = "Damaged"
#: The journal is written anew when it has this many lines more than it needs, and twice as many.
_SPARE = 1000


@dataclass(slots=True)
class Kept:
    """`newest` are the records at the position; `good` those that were declared last, often the same.

    `position` is None when the database was never read, or when the journal is not `whole`.
    """

    db_id: str = ""
    position: Position | None = None
    newest: dict[RecordPath, Record] = field(default_factory=dict)
    good: dict[RecordPath, Record] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one record: it is this one now (None: none), and it is `good`; or an older one is."""

    path: RecordPath
    newest: Record | None
    good: bool


class Journal:
    """One source's, in `<folder>/<source>.records`. Nothing here raises; `problems` tells."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder
        self._path = folder / f"{slug(source)}.records"
        #: A journal that does not have the last changes.
        self._stale = self._path.with_suffix(".stale")
        self._lines = 0
        self._damaged: Problem | None = None
        self._failed: Problem | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in (self._damaged, self._failed) if problem)

    @property
    def failing(self) -> bool:
        """Whether the last write failed: the next has to be `rewrite`."""
        return self._failed is not None

    def is_bulky(self, records: int) -> bool:
        """Whether it should be written anew; so many records are worth keeping."""
        return self._lines > 2 * records + _SPARE

    def load(self) -> Kept | None:
        """What was kept; None when nothing ever was."""
        for path, whole in ((self._path, True), (self._stale, False)):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                self._damaged = _damaged(path, error.strerror or str(error))
                return Kept(whole=False)
            return self._read(path, data, whole)
        return None

    def append(self, lines: Iterable[Line], db_id: str, position: Position | None) -> bool:
        """Keeps changes that led to a position. False: it is not on disk, see `problems`."""
        encoded = [*_encoded(lines), _encoded_position(db_id, position)]
        if self.failing:
            return False
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            _append(self._path, b"".join(encoded))
        except OSError as error:
            self._fail(error)
            return False
        self._lines += len(encoded)
        return True

    def rewrite(self, kept: Kept) -> None:
        """Keeps this and nothing else. May run in a thread."""
        lines = [*_encoded(_all(kept)), _encoded_position(kept.db_id, kept.position)]
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            write_atomically(self._path, b"".join(lines), durable=False)
            self._stale.unlink(missing_ok=True)
        except OSError as error:
            self._fail(error)
            return
        self._lines = len(lines)
        self._damaged = self._failed = None

    def remove(self) -> None:
        """The source is no more."""
        for path in (self._path, self._stale):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _read(self, path: Path, data: bytes, whole: bool) -> Kept:
        kept = Kept(whole=whole)
        *lines, rest = data.split(b"\n")
        self._lines = len(lines)
        wrong = bool(rest)
        for line in lines:
            try:
                _replay(kept, _decoded(line))
            except (ValueError, KeyError, TypeError):
                wrong = True
        if wrong:
            self._damaged = _damaged(path, "some of it does not match its checksum")
            kept.whole = False
        if not kept.whole:
            kept.position = None
        return kept

    def _fail(self, error: OSError) -> None:
        """From now on the file lacks something; on a full disk it can still be renamed."""
        with suppress(OSError):
            self._path.rename(self._stale)
        self._failed = Problem(
            f"records cannot be kept in {self._folder}: {error.strerror or error}",
            hint="everything runs on; free some space or mend the permissions",
            reason=DAMAGED,
        )


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab", buffering=0) as file:
        written = file.write(data)
    if written != len(data):
        raise OSError(0, "the disk took only a part")


def _all(kept: Kept) -> Iterator[Line]:
    for path, record in kept.newest.items():
        good = kept.good.get(path)
        if good is not None and good is not record:
            yield Line(path, good, good=True)
        yield Line(path, record, good=good is record)


def _encoded(lines: Iterable[Line]) -> Iterator[bytes]:
    for line in lines:
        if line.newest is None:
            yield _line({"gone": line.path})
        else:
            record = line.newest
            line_of = {"path": line.path, "seq": record.seq, "good": line.good}
            if isinstance(record.value, Undecodable):
                yield _line({**line_of, "undecodable": record.value.why})
            else:
                yield _line({**line_of, "value": record.value})


def _encoded_position(db_id: str, position: Position | None) -> bytes:
    return _line({"db": db_id, "at": None if position is None else tuple(position)})


def _line(value: dict[str, Any]) -> bytes:
    try:
        text = orjson.dumps(value)
    except TypeError:
        # What cannot be written was refused by `documents.record` too; only that it is there matters.
        text = orjson.dumps({**value, "value": None})
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _decoded(line: bytes) -> dict[str, Any]:
    """Raises ValueError for a line that `_line` did not make."""
    checksum, _, text = line.partition(b" ")
    if int(checksum, 16) != zlib.crc32(text):
        raise ValueError("the checksum is of something else")
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a line of a journal")
    return value


def _replay(kept: Kept, value: dict[str, Any]) -> None:
    if "db" in value:
        kept.db_id = value["db"]
        kept.position = None if value["at"] is None else Position(*value["at"])
    elif "gone" in value:
        kept.newest.pop(tuple(value["gone"]), None)
        kept.good.pop(tuple(value["gone"]), None)
    else:
        path = tuple(value["path"])
        why = value.get("undecodable")
        kept.newest[path] = Record(path, value["seq"], Undecodable(why) if why else value["value"])
        if value["good"]:
            kept.good[path] = kept.newest[path]


def _damaged(path: Path, why: str) -> Problem:
    hint = "what is left of it is used until the database was read again"
    return Problem(f"{path} is damaged: {why}", hint=hint, reason=DAMAGED)
