"""Brings what a program wrote beside its code from one copy of its package into another.

    copy of the last healthy revision ──find_written──► Written ──carry──► copy that is to start

Done before the first start, after the old program has ended; `.carried-<copy>` is written at the end and says
from where, so that a crash at any moment only means doing it again. The old copy is not touched: it is what
the service comes back to when the new revision fails. Where two have something to say about a file:

  the author did not change it         the program's
  the author changed it, too           the program's; the author's lies beside it, `<name>.from-package`
  the build made it, among the
  author's files, or a database        the program's
  the build made it in its own folder  the build's; the program's is put aside
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.files import write_atomically
from runtimes.data.inventory import TEMPORARY, beside, content
from runtimes.data.opening import folder_beneath, make_folder_beneath, rename_beneath, unlink_beneath
from runtimes.data.removal import make_writable, remove_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runtimes.data.inventory import Inventory, Written

CARRIED = ".carried-"
FROM_PACKAGE = ".from-package"
#: The first bytes of every database of SQLite (its file format, §1.3).
_DATABASE = b"SQLite format 3\x00"
_FICLONE = 0x40049409
#: What was a file when it was found is none any more, or is behind a link.
NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EXDEV, errno.EISDIR})


@dataclass(frozen=True, slots=True)
class Carried:
    """What `.carried-<copy>` says. `origin` names the copy that it came from, `turn` which start of that.

    `state`: what it came as, path → size and time. `bases`: path → digest of the author's file that the
    program's version began with. `conflicts`: those of them that the author has changed since.
    """

    origin: str
    state: Mapping[str, list[int]] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    turn: str = ""

    @property
    def placed(self) -> set[str]:
        """What is the node's own in that copy."""
        return {f"{name}{FROM_PACKAGE}" for name in self.conflicts}


def read_carried(copy: Path) -> Carried | None:
    try:
        value = json.loads(beside(copy, CARRIED).read_bytes())
        conflicts, turn = tuple(value["conflicts"]), value.get("turn", "")
        return Carried(value["origin"], value["state"], value["bases"], conflicts, turn)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def known_bases(copy: Path, carried: Carried | None) -> dict[str, str]:
    """Of which author's file the program's began. Whoever removes the one beside it has settled it."""
    if carried is None:
        return {}
    settled = {name for name in carried.conflicts if not os.path.lexists(copy / f"{name}{FROM_PACKAGE}")}
    return {name: base for name, base in carried.bases.items() if name not in settled}


def carry(
    written: Written, origin: str, copy: Path, inventory: Inventory, aside: Path, *, turn: str = ""
) -> Carried:
    """Puts what was written into `copy`, and says so beside it. What gives way goes below `aside`.

    Raises OSError, with everything taken out again as far as that goes: a full disk needs its space back.
    """
    work = _Work(written, copy, inventory, aside)
    try:
        for folder in written.folders:
            work.make_folder(copy / folder)
        for name, base in written.files.items():
            work.bring(name, base)
        for name, base in written.removed.items():
            work.remove(name, base)
        conflicts = tuple(sorted(work.conflicts))
        done = Carried(origin, written.state(), dict(work.bases), conflicts, turn)
        work.finish_folders()
        value = {
            "origin": done.origin, "state": done.state, "bases": done.bases, "conflicts": done.conflicts,
            "turn": done.turn,
        }  # fmt: skip
        write_atomically(beside(copy, CARRIED), json.dumps(value).encode())
    except OSError:
        work.undo()
        raise
    return done


class _Work:
    """One carrying, which can be begun again after a crash and undone after a failure."""

    def __init__(self, written: Written, copy: Path, inventory: Inventory, aside: Path) -> None:
        self.bases: dict[str, str] = {}
        self.conflicts: list[str] = []
        self._written = written
        self._copy = copy
        self._inventory = inventory
        self._aside = aside
        self._placed: list[Path] = []
        self._moved: list[tuple[Path, Path]] = []
        #: What was written to, or came empty.
        self._folders: set[Path] = set()

    def bring(self, name: str, base: str) -> None:
        source, place = self._written.root / name, self._copy / name
        before = self._inventory.entries.get(name)
        if before is not None and self._gives_way(name, base, source):
            if _same_content(source, place):
                return
            target = self._aside / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put(source, target, self._written.root, self._copy)
            return
        self.make_folder(place.parent)
        if before is not None and before.sha:
            self.bases[name] = base
            if before.sha != base and not _same(source, before.sha):
                self._move_beside(name, place)
        elif before is None and place.is_dir() and not place.is_symlink():
            self._move_beside(name, place)
        if before is None:
            self._placed.append(place)
        if place.is_dir() and not place.is_symlink():
            remove_folder(place)
        put(source, place, self._written.root, self._copy)

    def remove(self, name: str, base: str) -> None:
        """What its program threw away comes back with a change of it only."""
        before = self._inventory.entries.get(name)
        if before is not None and before.sha == base and self._is_in_folders(name):
            with suppress(FileNotFoundError, IsADirectoryError):
                unlink_beneath(self._copy, name)

    def _is_in_folders(self, name: str) -> bool:
        """Not below a file or a link that the program put in their place."""
        above = [each for each in (self._copy / name).parents if self._copy in each.parents]
        return all(each.is_dir() and not each.is_symlink() for each in above)

    def make_folder(self, folder: Path) -> None:
        """With nothing but folders on the way: what the author put in their place is moved beside."""
        for each in reversed([folder, *folder.parents]):
            if self._copy in each.parents and not (each.is_dir() and not each.is_symlink()):
                if os.path.lexists(each):
                    self._move_beside(os.fspath(each.relative_to(self._copy)), each)
                # Still there where a failed revision changed it, and is put away already.
                inside = os.fspath(each.relative_to(self._copy))
                with suppress(FileNotFoundError):
                    unlink_beneath(self._copy, inside)
                make_folder_beneath(self._copy, inside)
        make_writable(folder)
        self._folders.add(folder)

    def _gives_way(self, name: str, base: str, source: Path) -> bool:
        """To the build of today, or to the author where nobody knows that it was not his own before."""
        built = not self._inventory.entries[name].sha
        unsure = not self._written.sure and not base
        own_folder = os.path.dirname(name) in self._inventory.built
        return (unsure or (built and own_folder)) and not _is_database(source)

    def _move_beside(self, name: str, place: Path) -> None:
        """Once only: in a second attempt it may be the program's already that lies there."""
        self.conflicts.append(name)
        target = place.with_name(f"{place.name}{FROM_PACKAGE}")
        before = self._inventory.entries.get(name)
        if os.path.lexists(target) or not os.path.lexists(place):
            return
        if before is not None and not _same(place, before.sha):
            return
        rename_beneath(self._copy, name, target.name)
        self._moved.append((place, target))

    def finish_folders(self) -> None:
        """On disk, and as the program had them: PostgreSQL refuses data that others may list."""
        above = {each for folder in self._folders for each in folder.parents if self._copy in each.parents}
        for folder in sorted(self._folders | above, key=lambda each: len(each.parts), reverse=True):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if folder != self._copy:
                make_alike(self._written.root / folder.relative_to(self._copy), folder)

    def undo(self) -> None:
        for place in self._placed:
            with suppress(OSError):
                unlink_beneath(self._copy, os.fspath(place.relative_to(self._copy)))
        for place, target in reversed(self._moved):
            with suppress(OSError):
                rename_beneath(self._copy, os.fspath(target.relative_to(self._copy)), place.name)


def _same(file: Path, sha: str) -> bool:
    try:
        return content(file) == sha
    except OSError:
        return False


def _same_content(one: Path, other: Path) -> bool:
    try:
        return content(one) == content(other)
    except OSError:
        return False


def _is_database(file: Path) -> bool:
    with suppress(OSError), open(file, "rb") as stream:
        return stream.read(len(_DATABASE)) == _DATABASE
    return False


def put(source: Path, place: Path, root: Path, copy: Path) -> None:
    """The whole file or nothing of it, as it was; one that vanished is left out.

    Its program may be there still, and put something else in its place or in that of a folder on the way:
    what was opened is what is copied, and it is below the root; and so is where it comes to in `copy`. Other
    places are the node's own.
    """
    name = f"{TEMPORARY}{place.name[:200]}"
    with _folder_of(place, copy) as target:
        # The folder that was opened, wherever its name leads by now.
        temporary = Path(f"/proc/self/fd/{target}/{name}")
        try:
            with suppress(FileNotFoundError):
                temporary.unlink()
            with folder_beneath(root, os.fspath(source.relative_to(root))) as folder:
                found = os.stat(source.name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISLNK(found.st_mode):
                    temporary.symlink_to(_led(os.readlink(source.name, dir_fd=folder), root, copy))
                    _as_it_was(found, temporary)
                else:
                    _copy_file(folder, source.name, temporary)
            os.replace(name, place.name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink()
            if not isinstance(error, OSError) or error.errno not in NO_FILE:
                raise


@contextmanager
def _folder_of(place: Path, copy: Path) -> Iterator[int]:
    if copy in place.parents:
        with folder_beneath(copy, os.fspath(place.relative_to(copy))) as folder:
            yield folder
        return
    descriptor = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_alike(source: Path, place: Path) -> None:
    """Owner, rights and times; a link's own. A service of root's may have a program run as somebody else."""
    _as_it_was(source.lstat(), place)
    with suppress(OSError):
        _copy_attributes(source, place)


def _as_it_was(found: os.stat_result, place: Path) -> None:
    with suppress(PermissionError):
        os.chown(place, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        place.chmod(stat.S_IMODE(found.st_mode))
    os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _copy_attributes(source: Path | int, place: Path) -> None:
    for name in os.listxattr(source):
        with suppress(OSError):
            os.setxattr(place, name, os.getxattr(source, name), follow_symlinks=False)


def _copy_file(folder: int, name: str, target: Path) -> None:
    """With owner, rights and times. Shares the blocks where the file system can. On disk when it returns."""
    # Whoever opens a pipe that somebody made meanwhile must not wait at it.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(descriptor, "rb") as old, open(target, "xb") as new:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ENXIO, "it is no file any more", name)
        os.fchmod(new.fileno(), 0o600)
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS):
                raise
            _copy_data(old.fileno(), new.fileno())
        with suppress(OSError):
            _copy_attributes(descriptor, target)
        _as_it_was(found, target)
        os.fsync(new.fileno())


def _copy_data(old: int, new: int) -> None:
    """Holes stay holes: databases that are mapped into memory are larger than any disk."""
    size = os.fstat(old).st_size
    os.ftruncate(new, size)
    for begin, end in _data(old, size):
        while begin < end and (part := os.pread(old, min(end - begin, 1 << 20), begin)):
            begin += os.pwrite(new, part, begin)


def _data(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each part that was ever written to."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(file, begin, os.SEEK_HOLE)
        yield begin, end


def _led(link: str, root: Path, copy: Path) -> str:
    """A link into the old copy by its full name leads into the new one."""
    inside = os.path.relpath(link, root) if os.path.isabs(link) else ".."
    return link if inside.startswith("..") else os.path.join(copy, inside)
