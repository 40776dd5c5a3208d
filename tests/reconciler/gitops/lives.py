"""Lives of a node that has one source: each is killed one step later, until one ends by itself.

    lives.py HOME URL PATH FIRST STRIDE

A step is whatever changes the disk or starts a process. Lives end at the step FIRST, FIRST + STRIDE and so
on. Says as JSON how many ended so, which files the last life has laid out, and what the others have left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.git_source import GitSource
from reconciler.gitops.repository import Repositories
from runtimes.processes.children import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

_CHANGES = ("mkdir", "rename", "replace", "unlink", "chmod", "rmdir", "symlink", "open")


def main(home: Path, url: str, path: str, first: int, stride: int) -> None:
    source = GitSource(name="it", url=url, path=path)
    killed = 0
    while not _live(home, source, first + killed * stride):
        _end_orphans(home)
        killed += 1
    found = anyio.run(_apply, home, source)
    files = {str(each.relative_to(found)): each.read_text() for each in found.rglob("*") if each.is_file()}
    left = [str(each) for name in (".new-*", "*.lock", "tmp_*") for each in (home / "state").rglob(name)]
    print(json.dumps({"killed": killed, "files": files, "left": left}))


def _live(home: Path, source: GitSource, steps: int) -> bool:
    """Whether it came to its end."""
    if (pid := os.fork()) == 0:
        _die_after(steps)
        try:
            anyio.run(_apply, home, source)
        except BaseException as error:
            os.write(2, f"step {steps}: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(1)
    return os.WIFEXITED(status)


async def _apply(home: Path, source: GitSource) -> Path:
    mirror = Repositories(home, home / "state" / "git").open(source)
    seen = await mirror.look(source.ref)
    await mirror.fetch(seen, source.path)
    folder = await mirror.checkout(seen.commit, source.path)
    await mirror.forget({seen.commit})
    return folder


def _die_after(steps: int) -> None:
    left = [steps]

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*arguments, **options)

        return counted

    for name in _CHANGES:
        setattr(os, name, counting(getattr(os, name)))
    # Once before the process is there, and once after.
    TABLE.spawn = _twice(counting, TABLE.spawn)  # type: ignore[method-assign]


def _twice(counting: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    before, after = counting(lambda: None), counting(lambda: None)

    def counted(*arguments: Any, **options: Any) -> Any:
        before()
        process = function(*arguments, **options)
        after()
        return process

    return counted


def _end_orphans(home: Path) -> None:
    """As a node does when it starts: nothing that an earlier life has started goes on."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                int(process.name) != os.getpid()
                and f"GIT_DIR={home}".encode() in (process / "environ").read_bytes()
            ):
                os.kill(int(process.name), signal.SIGKILL)
                while (process / "exe").exists():
                    os.sched_yield()
        except OSError:
            continue


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
