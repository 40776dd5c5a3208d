"""A router of its own for each test, on the loop that it runs on in production."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtimes.router.harness import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The tests stand for programs by their session's id. Where the leader of it is outside this process's pid
# namespace, as in a container that was entered, the kernel says 0, which is nobody's id.
if os.getsid(0) == 0:
    os.setsid()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made
