"""What all tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Control code runs on asyncio in production; tests/sim runs it on trio's virtual clock."""
    return "asyncio"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share an engine disturb each other where xdist no longer knows that they belong together."""
    if not getattr(config.option, "loadgroup", False):
        return
    grouped = [each.nodeid for each in items if each.get_closest_marker("xdist_group")]
    alone = [each for each in grouped if "@" not in each]
    if alone:
        raise pytest.UsageError(f"xdist does not group its tests with this pytest: {alone[0]}")
