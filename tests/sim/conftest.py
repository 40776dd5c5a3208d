"""Everything here runs on trio's virtual clock: hours pass in milliseconds, and the same way every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio.testing

from tests.sim.members import World
from tests.sim.nodes import Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def home() -> Iterator[Home]:
    """A home whose machine saw nothing that must not be."""
    made = Home()
    yield made
    assert made.machine.violations == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A laptop and a pi that can follow each other."""
    return World(tmp_path)
