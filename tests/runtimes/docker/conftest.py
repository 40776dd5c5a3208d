"""A real engine, and the lives of a node on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.docker.engines import any_engine
from tests.runtimes.docker.lives import DockerLives, docker_lives

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def socket() -> str:
    return any_engine()


@pytest.fixture
async def lives(socket: str) -> AsyncIterator[DockerLives]:
    async with docker_lives(socket) as found:
        yield found
