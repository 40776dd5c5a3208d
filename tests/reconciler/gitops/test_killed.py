"""A node that is killed at every step: what is half made is not there, and what comes after it is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.gitops.mirror import REFS
from reconciler.gitops.troubles import GitTrouble
from tests.reconciler.gitops.test_repository import laid_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.gitops.repository import Repository as Mirror
    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio
_LIVES = Path(__file__).with_name("lives.py")


@pytest.mark.parametrize("path", ["", "b"])
@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.soak)])
def test_killed_at_every_step(origin: Repository, home: Path, path: str, stride: int) -> None:
    origin.git("--git-dir", str(origin.path), "config", "uploadpack.allowFilter", "true")
    origin.commit({"a": "1", "b/c": "1", "b/d/e": "1"})
    killed = 0
    for text, first in (("1", 0), ("2", stride // 2)):
        origin.commit({"a": text, "b/c": text})
        line = [sys.executable, str(_LIVES), str(home), str(origin.path), path, str(first), str(stride)]
        done = subprocess.run(line, cwd=Path.cwd(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        killed += told["killed"]
        expected = {"a": text, "b/c": text, "b/d/e": "1"}
        assert told["files"] == (expected if not path else {"c": text, "d/e": "1"})
        assert told["left"] == []
    assert killed * stride > 40


@pytest.mark.parametrize("again", [True, False])
async def test_locks_that_a_git_has_left(
    origin: Repository, opened: Callable[..., Mirror], *, again: bool
) -> None:
    """Of an earlier life, or of one that was killed in this."""
    origin.commit({"a": "1"})
    mirror = opened()
    await laid_out(mirror)
    second = origin.commit({"a": "2"})
    for name in ("shallow", "packed-refs", "config", "HEAD", "index", f"{REFS}/{second}"):
        (mirror.mirror / f"{name}.lock").touch()
    (mirror.mirror / "objects" / "pack" / "tmp_pack_x").write_text("half")
    assert await laid_out(opened() if again else mirror) == {"a": "2"}
    origin.commit({"a": "3"})
    mirror = opened()
    assert await laid_out(mirror) == {"a": "3"}
    assert not [*mirror.mirror.rglob("*.lock"), *mirror.mirror.rglob("tmp_*")]


async def test_a_mirror_that_a_power_cut_has_damaged(
    origin: Repository, opened: Callable[..., Mirror]
) -> None:
    commit = origin.commit({"a": "1"})
    for damage in ("packs", "config", "ref"):
        mirror = opened()
        await laid_out(mirror)
        if damage == "packs":
            for pack in mirror.mirror.rglob("*.pack"):
                pack.chmod(0o644)
                pack.write_bytes(b"")
        elif damage == "config":
            (mirror.mirror / "config").write_text("")
            (mirror.mirror / "HEAD").write_text("")
        else:
            (mirror.mirror / REFS / commit).write_text("")
        commit = origin.commit({"a": damage})
        assert await laid_out(opened()) == {"a": damage}


async def test_files_of_an_earlier_boot_are_made_again(
    origin: Repository, opened: Callable[..., Mirror]
) -> None:
    """Only what was written since the machine came up is surely there; the server is not needed for it."""
    commit = origin.commit({"a": "1"})
    mirror = opened()
    await laid_out(mirror)
    folder = await mirror.checkout(commit)
    (folder / "a").chmod(0o644)
    (folder / "a").write_text("")
    folder.with_name(f"{folder.name}.boot").write_text("another boot")
    origin.path.rename(origin.path.with_name("away"))
    assert (await opened().checkout(commit) / "a").read_text() == "1"


async def test_a_full_disk(
    origin: Repository, opened: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"a": "1"})
    mirror = opened()
    seen = await mirror.look(mirror.source.ref)
    await mirror.fetch(seen)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.gitops.tree.os.write", full)
    with pytest.raises(GitTrouble) as caught:
        await mirror.checkout(seen.commit)
    assert caught.value.reason == "DiskFull"
    monkeypatch.undo()
    assert await laid_out(mirror) == {"a": "1"}
