"""A node of fakes whose system APIs are called as an app or a person calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reconciler.apis.api_nodes import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.reconciler.apis.api_nodes import Apis


@pytest.fixture
def world(tmp_path: Path) -> World:
    """What outlives the node: its home, its packages, its records."""
    return World(tmp_path)


@pytest.fixture
async def apis(world: World) -> AsyncIterator[Apis]:
    """The APIs of a node that runs."""
    async with world.node() as made:
        yield made
