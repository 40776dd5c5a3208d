"""What is deleted, and what is made beforehand, keeps no service from anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.sim.nodes import Home, eventually, manifest, ready

if TYPE_CHECKING:
    from manifests.model.service import Service

pytestmark = pytest.mark.anyio


async def test_an_edit_waits_for_nothing_that_is_deleted_or_made_beforehand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = Home()
    runtime = home.machine.runtime()
    monkeypatch.setattr(home.machine, "runtime", lambda: runtime)
    begun: list[str] = []

    async def purge() -> None:
        begun.append("purge")
        await anyio.sleep_forever()

    async def prewarm(of: Service) -> None:
        begun.append(f"prewarm {of.id}")
        await anyio.sleep_forever()

    monkeypatch.setattr(runtime, "purge", purge)
    monkeypatch.setattr(runtime, "prewarm", prewarm)
    home.source.declare(manifest("app", "a", source="/app"))
    async with home.node() as alive:
        await eventually(lambda: ready(alive, "app") and begun.count("prewarm app") == 1)
        for number, revision in enumerate("bcd", start=2):
            home.source.declare(manifest("app", revision, source="/app"))
            await eventually(lambda revision=revision: home.running("app") == [("app", revision, 0)])  # type: ignore[misc]
            # What is made beforehand is begun when the new one is prepared, not when the old one is gone.
            assert begun.count("prewarm app") == number
            await eventually(lambda number=number: begun.count("purge") >= number - 1)  # type: ignore[misc]
            assert ready(alive, "app")
        home.source.undeclare("app")
        await eventually(lambda: not home.running("app") and "app" not in str(alive.status()["services"]))
