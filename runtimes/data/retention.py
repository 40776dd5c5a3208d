"""Who has what a program wrote beside its code, and what becomes of it when a copy goes.

    packages/<id>/<copy>            the last healthy revision's has the present state
    kept/<id>/current/              the present state of a service that nobody declares any more
    kept/<id>/failed/               what the last revision wrote that never became healthy
    kept/<id>/aside/                what gave way to a newer build
    kept/<id>/<copy>/               what an old program wrote while the new one was running already

`populate` is called before an instance starts, `retain` before copies are deleted. Nothing that a program
wrote is deleted before the same is somewhere else; which of two is the true one, wherever it was interrupted,
the marks beside the copies say (`runtimes.data.carry`). Everything here blocks: it is called in a thread.
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from manifests.files import write_atomically
from runtimes.data.carry import (
    CARRIED,
    FROM_PACKAGE,
    NO_FILE,
    carry,
    known_bases,
    make_alike,
    put,
    read_carried,
)
from runtimes.data.inventory import above, beside, find_written, from_json, read_inventory, to_json
from runtimes.data.opening import folder_beneath, rename_beneath, unlink_beneath
from runtimes.data.removal import make_writable, remove_folder

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.data.carry import Carried
    from runtimes.data.inventory import Written

#: The origin of what an undeclared service had left.
KEPT = "kept"
_CURRENT, _FAILED, _ASIDE = "current", "failed", "aside"
#: Beside a copy whose revision has been healthy. Says at which of its starts, of those since, it is.
HELD = ".held-"
#: Beside a copy while things are brought into it.
CARRYING = ".carrying-"
_LIST = "written.json"
_FILES = "files"


@dataclass(frozen=True, slots=True)
class Copy:
    """A prepared copy and the revision that it was prepared for, where that is known."""

    place: Path
    service: Service | None = None

    def written(self) -> Written:
        """What its program has written until now. Raises OSError."""
        carried = read_carried(self.place)
        return find_written(
            self.place,
            read_inventory(self.place, self.service),
            bases=known_bases(self.place, carried),
            placed=carried.placed if carried else (),
        )


def has_run(place: Path) -> bool:
    """Whether something was in this copy that others have to go on with."""
    return beside(place, HELD).exists() or beside(place, CARRIED).exists()


def populate(kept: Path, copy: Copy, holder: Copy | None) -> bool:
    """Gives a copy that is about to start what the last healthy one has. True when anything was brought.

    Nobody may be running in `copy`. Raises OSError with the copy as it was.
    """
    if holder is not None and not _has_held(holder, copy):
        holder = None
    if holder is not None and holder.place == copy.place:
        # Who began with its present state has to begin again: this one goes on from here. With a full disk
        # only starting matters.
        with suppress(OSError):
            write_atomically(beside(copy.place, HELD), uuid.uuid4().hex.encode(), durable=False)
        return False
    origin, written = _present(kept, holder)
    turn = _turn(holder) if holder else ""
    if written is None:
        return False
    before, mark = read_carried(copy.place), beside(copy.place, CARRYING)
    if mark.exists():
        # Nobody ran in it since: what is there that was not prepared is the node's own half of a work.
        before = None
    elif before is not None and _is_from(before, origin, turn, written):
        # It was started before, and goes on with its own.
        return False
    else:
        # It may have run before, and somebody else has gone on since.
        _put_away(copy, kept / _FAILED)
        if not written and before is None:
            return False
    mark.touch()
    inventory = read_inventory(copy.place, copy.service)
    carry(written, origin, copy.place, inventory, kept / _ASIDE, turn=turn)
    mark.unlink()
    return True


def _is_from(carried: Carried, origin: str, turn: str, written: Written) -> bool:
    return (carried.origin, carried.turn) == (origin, turn) and carried.state == written.state()


def _turn(holder: Copy) -> str:
    try:
        return beside(holder.place, HELD).read_text()
    except FileNotFoundError:
        return ""


def _has_held(holder: Copy, copy: Copy) -> bool:
    """Not where its copy had to be made anew: what it had is in `current`, or there never was anything."""
    if holder.place == copy.place:
        return beside(holder.place, HELD).exists()
    return holder.place.is_dir()


def _present(kept: Path, holder: Copy | None) -> tuple[str, Written | None]:
    if holder is not None:
        return holder.place.name, holder.written()
    return KEPT, _read(kept / _CURRENT)


def retain(kept: Path, going: Collection[Copy], holder: Copy | None) -> list[str]:
    """Makes sure that copies which are about to be deleted take nothing with them. Raises OSError.

    `holder` is the last healthy revision's; it may be one of them. Returns where something was put, for
    people.
    """
    if holder is not None and holder.place.is_dir():
        _forget_current(kept, holder)
        beside(holder.place, HELD).touch()
    told = []
    for copy in going:
        if holder is not None and copy.place == holder.place:
            told += keep_current(kept, copy)
        else:
            told += _keep_rest(kept, copy)
    return told


def _forget_current(kept: Path, holder: Copy) -> None:
    """A healthy revision has what was kept for the next one."""
    carried = read_carried(holder.place)
    origin = _origin(kept / _CURRENT)
    own = origin == holder.place.name and beside(holder.place, HELD).exists()
    if own or (origin and carried and carried.origin == KEPT):
        remove_folder(kept / _CURRENT)


def keep_current(kept: Path, copy: Copy) -> list[str]:
    """The service is nobody's any more: what it wrote waits for one of its name."""
    written = copy.written()
    if not written:
        return []
    new, place = kept / f"{_CURRENT}.new", kept / _CURRENT
    remove_folder(new)
    _link_all(written, new / _FILES)
    value = {"origin": copy.place.name, **to_json(written)}
    write_atomically(new / _LIST, json.dumps(value).encode())
    if _origin(place) == copy.place.name:
        remove_folder(place)
    elif place.exists():
        # Of an earlier life of the service, and never taken over: not ours to throw away.
        place.rename(_free(kept, "earlier"))
    new.rename(place)
    return [_sentence(written, place / _FILES)]


def _keep_rest(kept: Path, copy: Copy) -> list[str]:
    """What of an old copy nobody has: nothing, where its program had ended before the next one began."""
    rest = _nobody_elses(copy)
    if not rest or beside(copy.place, CARRYING).exists():
        return []
    place = kept / (copy.place.name if beside(copy.place, HELD).exists() else _FAILED)
    _replace(rest, place)
    return [_sentence(rest, place)]


def _nobody_elses(copy: Copy) -> Written:
    """Without what the copy was given, and what was taken on from it."""
    others = [
        copy.place.with_name(path.name.removeprefix(CARRIED))
        for path in copy.place.parent.glob(f"{CARRIED}*")
    ]
    found = [(place, read_carried(place)) for place in others]
    name = copy.place.name
    states = [each.state for place, each in found if each and (place.name == name or each.origin == name)]
    written = copy.written()
    present = written.state()
    return replace(
        written,
        files={
            name: base
            for name, base in written.files.items()
            if not any(name in state and state[name] == present.get(name) for state in states)
        },
        removed={},
        folders=(),
    )


def _put_away(copy: Copy, place: Path) -> None:
    """Takes out of a copy what its program wrote before another went on; the copy is as it was prepared.

    But for files of the author that it changed: nobody has those any more, and they stay as they are.
    """
    carried = read_carried(copy.place)
    written = copy.written()
    if rest := _nobody_elses(copy):
        _replace(rest, place)
    inventory = read_inventory(copy.place, copy.service)
    for name in written.files:
        if name not in inventory.entries:
            with suppress(FileNotFoundError):
                make_writable((copy.place / name).parent)
                unlink_beneath(copy.place, name)
    for folder in {*written.folders, *(each for name in written.files for each in above(name))}:
        _remove_empty(copy.place, folder, inventory.folders)
    for name in carried.conflicts if carried else ():
        with suppress(OSError):
            rename_beneath(copy.place, f"{name}{FROM_PACKAGE}", os.path.basename(name))


def _remove_empty(copy: Path, folder: str, authored: Collection[str]) -> None:
    """With those above it that are empty then. What is not, or is its author's, stays."""
    with suppress(OSError):
        for each in (folder, *above(folder)):
            if each in authored:
                return
            (copy / each).rmdir()


def _replace(written: Written, place: Path) -> None:
    new = place.with_name(f"{place.name}.new")
    remove_folder(new)
    _link_all(written, new)
    remove_folder(place)
    new.rename(place)


def _link_all(written: Written, target: Path) -> None:
    """The same files under another name; copies where the file system has no links, or it is another one."""
    target.mkdir(mode=0o700, parents=True)
    for name in written.files:
        place = target / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with folder_beneath(written.root, name) as source:
                os.link(os.path.basename(name), place, src_dir_fd=source, follow_symlinks=False)
        except OSError as error:
            if error.errno in NO_FILE:
                continue
            put(written.root / name, place, written.root, written.root)
    for folder in written.folders:
        (target / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, _, _ in os.walk(target, topdown=False):
        folder = os.path.relpath(path, target)
        with suppress(FileNotFoundError):
            if folder != ".":
                make_alike(written.root / folder, target / folder)


def _read(place: Path) -> Written | None:
    try:
        return from_json(place / _FILES, json.loads((place / _LIST).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _origin(place: Path) -> str:
    try:
        return str(json.loads((place / _LIST).read_bytes())["origin"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _free(folder: Path, name: str) -> Path:
    numbers = (number for number in range(1, 1_000_000))
    return next(place for number in numbers if not (place := folder / f"{name}-{number}").exists())


def _sentence(written: Written, place: Path) -> str:
    count = len(written.files)
    return f"{count} file{'' if count == 1 else 's'} that its program wrote beside its code: {place}"
