"""A node does not start on what somebody else could write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.home.mkdir(mode=0o700)
    (bench.home / "manifests").mkdir(mode=0o700)
    (bench.home / "config.toml").write_text("coreServices = []\n")
    try:
        yield bench
    finally:
        bench.close()


def give_away(path: Path) -> None:
    os.chown(path, 12345, 12345)


def open_to_all(path: Path) -> None:
    path.chmod(0o777)


def open_to_group(path: Path) -> None:
    os.chown(path, -1, 12345)
    path.chmod(0o770)


@AS_ROOT
@pytest.mark.parametrize("spoil", [give_away, open_to_all, open_to_group])
@pytest.mark.parametrize("place", ["h", "h/config.toml", "h/manifests", "m"])
def test_it_is_refused_with_a_hint_until_it_is_mended(
    bench: Bench, place: str, spoil: Callable[[Path], None]
) -> None:
    bench.declare("a")
    path = bench.root / place
    before = path.stat()
    spoil(path)
    bench.up(wait=False)
    assert bench.node and bench.node.wait(60) == 1
    assert str(path) in bench.log() and "hint: ch" in bench.log()
    assert not (bench.home / "state").exists()
    if (place, spoil) == ("h", give_away):
        os.chown(path, before.st_uid, before.st_gid)
        bench.up()
        bench.until(lambda: bench.ready("a"), "it runs")
