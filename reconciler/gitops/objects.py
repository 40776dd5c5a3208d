"""Objects of a mirror, read through one `git cat-file --batch`. In threads: it waits for git.

Nobody is asked for an object that is not here. What a commit and a tree say is read by this module and not by
git, so that sizes, counts and names are known before anything is written.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from anyio import from_thread

from reconciler.gitops.git import environment
from reconciler.gitops.troubles import GitTrouble
from runtimes.processes.children import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: Requests on their way at once: all of them fit into a pipe, so that neither side waits for the other.
_MANY = 500
#: Bytes of a commit, a tag or a tree.
_LARGEST = 32 * 2**20
_CHUNK = 2**20
_PERSON = re.compile(r"(?P<name>.*?) ?<(?P<mail>[^>]*)> (?P<time>-?\d{1,15}) [+-]\d+")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, with what people want to know of it. `time`: seconds since 1970, as its committer says."""

    id: str
    author: str
    subject: str
    time: float
    tree: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a tree: its mode as git writes it, its name, and the object that it is."""

    mode: int
    name: bytes
    object: str


class Missing(GitTrouble):
    """An object is not here: it was never fetched, or the mirror is damaged."""

    def __init__(self, name: str) -> None:
        super().__init__("ObjectsMissing", f"{name} is not in the mirror", hint="it will be fetched again")


class Objects:
    """One running cat-file."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers

    def commit(self, name: str) -> Commit:
        """Raises GitTrouble."""
        return read_commit(name, self._one(name, "commit")[1])

    def tag(self, name: str) -> bytes:
        """A tag with a message, as it is written. Raises GitTrouble."""
        return self._one(name, "tag")[1]

    def folder(self, commit: str, path: str) -> str:
        """The tree that is at a path of a commit. Raises GitTrouble: PathMissing."""
        name = f"{commit}:{path}" if path else f"{commit}^{{tree}}"
        try:
            return self._one(name, "tree")[0]
        except (Missing, _OtherKind):
            if not path:
                raise
            self._one(f"{commit}^{{tree}}", "tree")
            message = f"commit {commit[:12]} has no folder {path}"
            raise GitTrouble("PathMissing", message, hint="see path in [[sources.git]]") from None

    def trees(self, names: Sequence[str]) -> Iterator[list[Entry]]:
        """Their entries, in the order of the names. Raises GitTrouble."""
        width = len(names[0]) // 2 if names else 0
        for name, size in self._each(names, "tree"):
            yield read_tree(self._rest(size, name), width)

    def blobs(self, names: Sequence[str]) -> Iterator[tuple[int, Callable[[], Iterator[bytes]]]]:
        """The size of each, and what reads it, which must be done before the next. Raises GitTrouble."""
        for name, size in self._each(names, "blob"):
            left = [size]

            def chunks(left: list[int] = left, name: str = name) -> Iterator[bytes]:
                while left[0]:
                    if not (chunk := self._answers.read(min(left[0], _CHUNK))):
                        raise Missing(name)
                    left[0] -= len(chunk)
                    yield chunk
                self._answers.read(1)
                left[0] = -1

            yield size, chunks
            if left[0] != -1:
                for _ in chunks():
                    pass

    def _one(self, name: str, kind: str) -> tuple[str, bytes]:
        self._requests.write(f"{name}\n".encode())
        self._requests.flush()
        found, size = self._head(name, kind)
        return found, self._rest(size, name)

    def _each(self, names: Sequence[str], kind: str) -> Iterator[tuple[str, int]]:
        for start in range(0, len(names), _MANY):
            part = names[start : start + _MANY]
            self._requests.write("".join(f"{name}\n" for name in part).encode())
            self._requests.flush()
            with suppress(RuntimeError):
                from_thread.check_cancelled()
            for name in part:
                yield name, self._head(name, kind)[1]

    def _head(self, name: str, kind: str) -> tuple[str, int]:
        words = self._answers.readline(4096).decode("utf-8", "replace").rstrip("\n").rsplit(" ", 2)
        if len(words) < 3 or not words[2].isdecimal():
            raise Missing(name)
        if words[1] != kind:
            self._rest(int(words[2]), name)
            raise _OtherKind(name, words[1], kind)
        if kind != "blob" and int(words[2]) > _LARGEST:
            raise GitTrouble("RepositoryTooLarge", f"{name} is a {kind} of {words[2]} bytes")
        return words[0], int(words[2])

    def _rest(self, size: int, name: str) -> bytes:
        data = self._answers.read(size)
        if len(data) != size or self._answers.read(1) != b"\n":
            raise Missing(name)
        return data


class _OtherKind(GitTrouble):
    def __init__(self, name: str, kind: str, wanted: str) -> None:
        super().__init__("WrongObject", f"{name} is a {kind}, not a {wanted}")


@contextmanager
def objects(mirror: Path) -> Iterator[Objects]:
    """Of a mirror. For threads. Raises GitTrouble."""
    line = ["git", "cat-file", "--batch"]
    try:
        process = TABLE.spawn(
            TABLE.new_name(), line, env=environment(mirror=str(mirror)), cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise GitTrouble("GitMissing", f"git cannot be run: {error.strerror}") from error
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Objects(process.stdin, process.stdout)
    except BrokenPipeError:
        raise Missing("an object") from None
    finally:
        process.kill()
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        TABLE.forget(process.pid)


def read(mirror: Path, commit: str) -> Commit:
    """One commit. For threads. Raises GitTrouble."""
    with objects(mirror) as found:
        return found.commit(commit)


def read_commit(name: str, data: bytes) -> Commit:
    """Of a commit as it is written, whatever its author wrote."""
    head, _, message = data.partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.split(b"\n"):
        # A signature goes on in lines that begin with a blank.
        key, _, value = line.partition(b" ")
        if key:
            fields.setdefault(key.decode("ascii", "replace"), []).append(value.decode("utf-8", "replace"))
    author = _PERSON.fullmatch(fields.get("author", [""])[0])
    committer = _PERSON.fullmatch(fields.get("committer", [""])[0])
    told = f"{author['name']} <{author['mail']}>" if author else ""
    subject = message.lstrip(b"\n").split(b"\n\n")[0].decode("utf-8", "replace").strip()
    return Commit(
        name, told, " ".join(subject.split())[:300], float(committer["time"]) if committer else 0.0,
        fields.get("tree", [""])[0], tuple(fields.get("parent", ())),
    )  # fmt: skip


def read_tree(data: bytes, width: int) -> list[Entry]:
    """Of a tree as it is written; `width`: bytes of an object's id. Raises GitTrouble."""
    found, at = [], 0
    while at < len(data):
        blank = data.find(b" ", at)
        end = data.find(b"\0", blank)
        if blank < 0 or end < 0 or end + 1 + width > len(data):
            raise GitTrouble("BrokenTree", "a folder of the repository is damaged")
        try:
            mode = int(data[at:blank], 8)
        except ValueError:
            raise GitTrouble("BrokenTree", "a folder of the repository is damaged") from None
        found.append(Entry(mode, data[blank + 1 : end], data[end + 1 : end + 1 + width].hex()))
        at = end + 1 + width
    return found
