"""A database of its own for each test, on the loop that it runs on in production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.hyper.adb.harness import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made
