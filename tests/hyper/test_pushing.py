"""A push is the folder: what arrives is what lay there, and a folder that is as it was is no new version."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hyper.fake import FakeHyper
from hyper.port import HyperError
from tests.hyper.daemons import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from hyper.port import Drive, Hyper


@dataclass(frozen=True)
class File:
    content: bytes = b""
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    target: bytes


@dataclass(frozen=True)
class Pipe:
    """What no drive has."""


#: Name → what has it; a folder is another such mapping.
Tree = Mapping[bytes, Any]

ODD = [
    "a", "A", "a.", " a", "a ", "-", ".hidden", "..a", "...", "a:b", "C:", "~", "%2F", "*", "[a]", "$x",
    "\n", "\t", "é", "e\u0301", "ﬁ", "\u2028", "\ufeff", "\u200b", "日本", "😀", "CON", "files",
    "x" * 255, "é" * 127, "'", '"',
]  # fmt: skip
REFUSED = [b"a\\b", b"\\", b"C:\\x", b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf"]

good_names = st.one_of(
    st.sampled_from(ODD).map(str.encode),
    st.text(st.characters(exclude_characters="/\\\0", codec="utf-8"), min_size=1, max_size=40)
    .filter(lambda name: name not in (".", ".."))
    .map(str.encode)
    .filter(lambda name: len(name) <= 255),
)
names = st.one_of(good_names, good_names, good_names, st.sampled_from(REFUSED))
files = st.builds(
    File,
    st.one_of(st.binary(max_size=40), st.sampled_from([0, 70_000, 1_100_000]).map(bytes)),
    st.sampled_from([0o644, 0o600, 0o755, 0o700, 0o444, 0o511, 0o610]),
)
links = st.builds(
    Link,
    st.one_of(good_names, st.sampled_from([b"..", b"../a", b"/etc/passwd", b"a/", b"./a", b"a//b", b"gone"])),
)


def trees(of: st.SearchStrategy[bytes]) -> st.SearchStrategy[Tree]:
    def folders(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.dictionaries(of, inner, max_size=4)

    anything = st.recursive(st.one_of(files, files, links, st.just(Pipe())), folders, max_leaves=12)
    return st.dictionaries(of, anything, max_size=6)


def make(tree: Tree, folder: bytes) -> None:
    os.mkdir(folder)
    for name, what in tree.items():
        place = folder + b"/" + name
        match what:
            case File(content, mode):
                with open(place, "wb") as file:
                    file.write(content)
                os.chmod(place, mode)
            case Link(target):
                os.symlink(target, place)
            case Pipe():
                os.mkfifo(place)
            case _:
                make(what, place)


def is_kept(what: Any, depth: int) -> bool:
    """Links stay that lead to what lies inside: up first, never beyond the top."""
    if not isinstance(what, Link):
        return not isinstance(what, Pipe)
    parts = [part for part in what.target.split(b"/") if part not in (b"", b".")]
    ups = next((at for at, part in enumerate(parts) if part != b".."), len(parts))
    return not what.target.startswith(b"/") and b".." not in parts[ups:] and ups < len(parts) and ups <= depth


def kept(tree: Tree, depth: int = 0) -> Tree:
    """What arrives of it."""
    found: dict[bytes, Any] = {}
    for name, what in tree.items():
        if isinstance(what, Mapping):
            found[name] = kept(what, depth + 1)
        elif isinstance(what, File):
            found[name] = File(what.content, 0o755 if what.mode & 0o100 else 0o644)
        elif is_kept(what, depth):
            found[name] = what
    return found


def read(folder: bytes) -> Tree:
    found: dict[bytes, Any] = {}
    for each in os.scandir(folder):
        if each.is_symlink():
            found[each.name] = Link(os.readlink(each.path))
        elif each.is_dir():
            found[each.name] = read(each.path)
        else:
            found[each.name] = File(Path(os.fsdecode(each.path)).read_bytes(), each.stat().st_mode & 0o777)
    return found


def refused_in(tree: Tree) -> list[bytes]:
    here = [name for name in tree if name in REFUSED]
    return here + [bad for what in tree.values() if isinstance(what, Mapping) for bad in refused_in(what)]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as daemon:
        yield daemon


@pytest.fixture(params=["fake", "real"])
def check(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Runs something with a Hypercore and a folder of its own."""

    def run(what: Callable[[Hyper, bytes], Awaitable[None]]) -> None:
        async def with_daemon() -> None:
            with tempfile.TemporaryDirectory() as folder:
                if request.param == "fake":
                    await what(FakeHyper(), os.fsencode(folder))
                else:
                    await with_client(os.fsencode(folder))

        async def with_client(folder: bytes) -> None:
            daemon = request.getfixturevalue("daemon")
            async with running(daemon):
                await what(daemon.client, folder)

        anyio.run(with_daemon)

    if request.param == "real":
        request.getfixturevalue("daemon")
    return run


async def got(hyper: Hyper, drive: Drive, folder: bytes) -> Tree:
    os.mkdir(folder)
    await hyper.get_drive(drive, os.fsdecode(folder), timeout=60)
    found = read(folder)
    shutil.rmtree(folder)
    return found


def put(hyper: Hyper, folder: bytes) -> Awaitable[Drive]:
    return hyper.put_drive("app", os.fsdecode(folder))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees(good_names), trees(good_names))
@example({}, {b"a": {}})
@example({b"a": {b"b": Pipe()}}, {b"a": File()})
@example({b"a": File(b"x")}, {b"a": File(b"x", 0o755)})
@example({b"a": {b"b": File(b"x")}}, {b"a": Link(b"b")})
@example({b"a": {b"b": {b"c": Link(b"../../d")}}}, {b"a": {b"b": Link(b"../../d")}})
@example({"é".encode(): File(b"1"), "e\u0301".encode(): File(b"2")}, {"é".encode(): File(b"2")})
def test_what_arrives_is_what_lay_there(check: Callable[[Any], None], one: Tree, other: Tree) -> None:
    async def pushed(hyper: Hyper, folder: bytes) -> None:
        make(one, folder + b"/one")
        first = await put(hyper, folder + b"/one")
        assert await put(hyper, folder + b"/one") == first
        # The same in another place, as somebody else's checkout of it is.
        make(one, folder + b"/same")
        assert await put(hyper, folder + b"/same") == first
        assert await got(hyper, first, folder + b"/got") == kept(one)
        make(other, folder + b"/other")
        second = await put(hyper, folder + b"/other")
        assert second.key == first.key
        assert (second == first) == (kept(one) == kept(other))
        assert await got(hyper, second, folder + b"/got") == kept(other)
        assert await got(hyper, first, folder + b"/got") == kept(one)

    check(pushed)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees(names).filter(refused_in))
@example({b"\\": Pipe()})
@example({b"a": {b"b\\c": {}}, b"b\\c": File()} | {b"a\\b": File()})
def test_what_cannot_be_stored_is_refused_with_its_name(check: Callable[[Any], None], tree: Tree) -> None:
    async def pushed(hyper: Hyper, folder: bytes) -> None:
        make(tree, folder + b"/tree")
        with pytest.raises(HyperError, match="cannot keep the name") as error:
            await put(hyper, folder + b"/tree")
        assert error.value.code == "BAD_REQUEST"

    check(pushed)


def test_a_path_that_is_too_long_for_others_is_refused_with_its_name(check: Callable[[Any], None]) -> None:
    async def pushed(hyper: Hyper, folder: bytes) -> None:
        os.mkdir(folder + b"/deep")
        at = os.open(folder + b"/deep", os.O_RDONLY)
        for _ in range(45):
            os.mkdir("n" * 100, dir_fd=at)
            deeper = os.open("n" * 100, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = deeper
        os.close(at)
        with pytest.raises(HyperError, match=r"cannot keep the name .*nnnn") as error:
            await put(hyper, folder + b"/deep")
        assert error.value.code == "BAD_REQUEST"

    check(pushed)


def test_content_that_changed_is_pushed_though_size_and_time_are_as_before(
    check: Callable[[Any], None],
) -> None:
    async def pushed(hyper: Hyper, folder: bytes) -> None:
        make({b"a": File(b"one"), b"b": File(b"two")}, folder + b"/app")
        versions = [await put(hyper, folder + b"/app")]
        for content in (b"eno", b"neo", b"one"):
            before = os.stat(folder + b"/app/a")
            Path(os.fsdecode(folder + b"/app/a")).write_bytes(content)
            os.utime(folder + b"/app/a", ns=(before.st_atime_ns, before.st_mtime_ns))
            versions.append(await put(hyper, folder + b"/app"))
            assert (await got(hyper, versions[-1], folder + b"/got"))[b"a"].content == content
        assert len(set(versions)) == 4

    check(pushed)
