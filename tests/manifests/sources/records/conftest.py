"""Each test runs on a virtual clock and on a real one; both have two nodes of fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from trio.testing import MockClock

from manifests.sources import fetching, following, records
from tests.manifests.sources.records.worlds import World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return ("trio", {"clock": MockClock(autojump_threshold=0)}) if request.param == "trio" else "asyncio"


@pytest.fixture(autouse=True)
def hurried(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real clock nobody waits as long as a node does."""
    if anyio_backend == "asyncio":
        for module, name in (
            (following, "PATIENCE"), (following, "ASK"), (fetching, "FIRST"), (fetching, "SECURE_AFTER"),
            (fetching, "SELDOM"), (records, "KEEP_AGAIN"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, 0.1)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.db = (await made.laptop.create("records")).db_id
    return made
