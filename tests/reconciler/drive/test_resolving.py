"""Reading a package takes as long as it takes, but no node that ends waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.manifest import Manifest
from manifests.model.merge import Winner
from manifests.model.snapshot import Declared
from manifests.packages import resolve
from reconciler.drive.controllers import Controllers
from reconciler.drive.events import EventLog
from reconciler.drive.packages import open_packages

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_cancelled_look_at_a_package_ends_at_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    begun, goes_on = threading.Event(), threading.Event()
    infer = resolve.infer_runtime

    def slowly(*words: Any) -> str:
        begun.set()
        goes_on.wait(20)
        return infer(*words)

    monkeypatch.setattr(resolve, "infer_runtime", slowly)
    manifest = Manifest.model_validate({"id": "a", "source": str(tmp_path), "command": ["true"]})
    packages = open_packages(tmp_path / "home", Controllers(), EventLog())
    ended: list[bool] = []

    async def look() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await packages.resolve(Winner(Declared(manifest, str(tmp_path), "a.yaml"), "home"), 0)
        ended.append(scope.cancelled_caught)

    scopes: list[anyio.CancelScope] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        while not begun.is_set():
            await anyio.sleep(0.01)
        scopes[0].cancel()
        goes_on.set()
    assert ended == [True]
